"""Sections of TOML, strictly: an error names the file, or `--set`, and the dotted field."""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.text import read_text

MOST_LISTED = 20  # names in one message
Sources = Mapping[str, str]  # where a dotted field comes from, if not from the file
T = TypeVar("T", bound=msgspec.Struct)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every section: immutable, no fields but its own."""


def unknown(name: str, known: Iterable[str], what: str) -> str:
    """The message about a name that is not one of those that are known."""
    known = sorted(filter(None, known))
    if not known:
        return f"is not a {what}; there is none"
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known[:MOST_LISTED]) + (", ..." if len(known) > MOST_LISTED else "")
    hint = f"did you mean {close[0]}?" if close else f"known: {listed}"
    return f"is not a {what}; {hint}"


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _tag(kind: type[msgspec.Struct]) -> tuple[str, str]:
    """The field that tells a kind of record from others, and its word."""
    config = kind.__struct_config__
    return config.tag_field or "", str(config.tag or "")


def _kinds(raw: Mapping[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The type of each section: of several kinds of record, the one whose tag a table has.

    A table without the tag is of the kind of the section's default. One whose tag is unknown has
    no record for its type: msgspec says so.
    """
    hints = get_type_hints(kind)
    defaults = {f.name: f.default for f in msgspec.structs.fields(kind)}
    for name, hint in hints.items():
        kinds = {_tag(part): part for part in get_args(hint) if _is_struct(part)}
        table, default = raw.get(name), defaults[name]
        usual = _tag(type(default))[1] if isinstance(default, msgspec.Struct) else ""
        for (field, word), part in kinds.items():
            if isinstance(table, dict) and table.get(field, usual) == word:
                hints[name] = part
    return hints


def _tagged(raw: Mapping[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with the tags of their kinds, also where the file leaves them out."""
    tagged = dict(raw)
    for name, kind in kinds.items():
        if name in raw and _is_struct(kind) and _tag(kind)[0]:
            tagged[name] = dict([_tag(kind)]) | raw[name]
    return tagged


def _check_fields(
    raw: Mapping[str, Any], hints: Mapping[str, Any], sources: Sources, source: str
) -> None:
    """Raise InvalidInput for the first key that no section has."""
    for section in raw:
        if section not in hints:
            message = unknown(section, hints, "section")
            raise InvalidInput(f"{sources.get(section, source)}: {section}", message)
        if not isinstance(raw[section], dict):
            raise InvalidInput(f"{source}: {section}", "is a section, write its fields under it")
        _check_table(section, raw[section], hints[section], sources, source)


def _check_table(
    section: str, table: Mapping[str, Any], kind: Any, sources: Sources, source: str
) -> None:
    """Raise InvalidInput for the first key that a section has not."""
    if not _is_struct(kind):
        return  # many kinds, and a tag that none of them has
    tag, word = _tag(kind)
    known = [*kind.__struct_fields__, *([tag] if tag else [])]
    what = f"field of [{section}]" + (f" where {tag} is {word}" if tag else "")
    for key in table:
        if key not in known:
            field = f"{section}.{key}"
            message = unknown(key, known, what)
            raise InvalidInput(f"{sources.get(field, source)}: {field}", message)


def _words(hint: Any) -> list[str]:
    """The words that a type of field admits, if it is one of words; the tags of records."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if _is_struct(hint):
        return [hint.__struct_config__.tag] if hint.__struct_config__.tag else []
    return [word for part in get_args(hint) for word in _words(part)]


def _admitted(kinds: Mapping[str, Any], field: str) -> list[str]:
    """The words that a dotted field admits; none where any will do."""
    first, *rest = field.split(".")
    kind = kinds.get(first)
    for name in rest:
        kind = get_type_hints(kind).get(name) if _is_struct(kind) else kind
    return _words(kind)


def _complaint(
    error: msgspec.ValidationError, raw: Mapping[str, Any], kinds: Mapping[str, Any]
) -> tuple[str, str]:
    """The dotted field and the message of a msgspec error ("... - at `$.section.field`")."""
    message, _, place = str(error).partition(" - at `$.")
    field = place.rstrip("`").partition("[")[0]  # of a list, the whole is shown below
    section, _, key = field.partition(".")
    message = f"{message[0].lower()}{message[1:]}".replace("`", "")
    given = raw.get(section, {}).get(key)
    if isinstance(given, str) and (words := _admitted(kinds, field)):
        message = f"unknown {key}, known: {', '.join(words)}"
    # The value says more than its type, which msgspec names.
    return (
        field,
        f"{message.partition(', got ')[0]}, got {given!r}" if given is not None else message,
    )


def decode_sections(
    raw: Mapping[str, Any],
    kind: type[T],
    check: Callable[[T], None],
    source: str,
    sources: Sources | None = None,
) -> T:
    """A record of sections from plain tables; `check` raises InvalidInput with a dotted field.

    `source` names where the tables come from, `sources` where single dotted fields do.
    Raises InvalidInput that names the source and the dotted field.
    """
    sources = sources or {}
    kinds = _kinds(raw, kind)
    _check_fields(raw, kinds, sources, source)
    try:
        record = msgspec.convert(_tagged(raw, kinds), kind)
        check(record)
    except msgspec.ValidationError as error:
        field, message = _complaint(error, raw, kinds)
    except InvalidInput as error:
        field, message = error.path, error.message
    else:
        return record
    where = sources.get(field, source)
    raise InvalidInput(f"{where}: {field}" if field else where, message)


def texts(kinds: Iterable[type[msgspec.Struct]]) -> frozenset[str]:
    """The dotted fields of records of sections that hold any text, and nothing but text."""
    return frozenset(
        f"{section}.{field}"
        for kind in kinds
        for section, parts in get_type_hints(kind).items()
        for part in (parts, *get_args(parts))
        if _is_struct(part)
        for field, hint in get_type_hints(part).items()
        if hint is str or set(get_args(hint)) == {str, type(None)}
    )


def _assignment(text: str, free: Collection[str]) -> tuple[str, str, Any]:
    """Parse an assignment: `optimiser.weight_decay=0.5` -> (section, field, value).

    What is no TOML is text as it stands, since the shell eats the quotes that TOML wants; so is
    all but quoted text where the field, one of the `free`, can hold nothing else.
    """
    name, equals, value = text.partition("=")
    section, _, field = name.strip().partition(".")
    if not (equals and section and field):
        raise InvalidInput(f"--set {text}", "must read section.field=value")
    plain = value.strip()
    try:
        found = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        return section, field, plain
    is_one = found.keys() == {"value"}  # and not more lines of TOML
    if is_one and (isinstance(found["value"], str) or f"{section}.{field}" not in free):
        return section, field, found["value"]
    return section, field, plain


def read_toml(
    path: Path, assignments: Iterable[str] = (), free: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of a TOML file with `section.field=value` assignments on top, and their sources.

    `free` are the dotted fields that hold any text (`texts`). Raises InvalidInput that names the
    file or `--set`.
    """
    try:
        raw = tomllib.loads(read_text(path))
    except RecursionError:
        raise InvalidInput(str(path), "is nested too deep") from None
    except ValueError as error:  # its own kind, and that of an integer of thousands of digits
        raise InvalidInput(str(path), f"is not TOML: {str(error).partition(';')[0]}") from None
    return assigned(raw, assignments, free)


def assigned(
    raw: dict[str, Any], assignments: Iterable[str], free: Collection[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Tables with assignments on top, and their sources. Raises InvalidInput."""
    sources = {}
    for text in assignments:
        section, field, value = _assignment(text, free)
        sources[section] = sources[f"{section}.{field}"] = "--set"
        raw = put(raw, section, field, value)
    return raw, sources


def put(tables: Mapping[str, Any], section: str, field: str, value: Any) -> dict[str, Any]:
    """The tables with one field, or a dotted part of one that is a table, changed.

    A section that is no table stays, and decoding says so.
    """
    table = tables.get(section, {})
    name, _, part = field.partition(".")
    if part and isinstance(table, dict) and isinstance(table.get(name), dict):
        return {**tables, section: put(table, name, part, value)}
    return {**tables, section: {**table, field: value} if isinstance(table, dict) else table}


def shipped(name: str, folder: Path, what: str) -> Path:
    """The path of a shipped TOML file by its name. Raises InvalidInput that lists them."""
    known = {path.stem: path for path in folder.glob("*.toml")}
    if name not in known:
        raise InvalidInput(f"--{what} {name}", unknown(name, known, what))
    return known[name]
