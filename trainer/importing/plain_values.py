"""The values that a pickle becomes here: plain containers, and a Record of everything else.

No value's hash or equality is a file's choice: the keys of a dictionary are texts, a set is a list.
A value may hold itself, or be nested without end: whoever walks one counts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from grokprobe.errors import InvalidInput

Builder = Callable[..., Any]

SHOWN = 60  # characters of a text in a message
LONGEST = 240  # of any value there, and of a name of a class
FEW = 8  # members of a list that are shown
DEEPEST = 64  # dictionaries within each other
MOST_NAMES = 200_000
LONGEST_NAME = 250
MOST_NUMBERS = 4_000_000
MOST_RANGE, MOST_BOUND = 10_000, 10**10
MEMBER = re.compile(r"\[(-?[0-9]{1,9})\]\.?(.*)", re.DOTALL)
REBUILD = "torch._utils._rebuild_"  # with which the names of torch's kinds of tensors begin


class Record:
    """An object of a class that is not ours: its name, and what it would have been made of."""

    __slots__ = ("args", "fields", "items", "name")

    def __init__(self, name: str, args: tuple[Any, ...] | None = None) -> None:
        self.name = name
        self.args = args  # of its constructor; None for the class or function itself
        self.fields: dict[str, Any] = {}  # its state, and what a kind of dictionary holds
        self.items: list[Any] = []  # what a kind of list holds


def text_of(value: Any, deep: bool = True) -> str:
    """A value in a few characters of one line, whatever it is."""
    if isinstance(value, str | bytes):
        return repr(value[:SHOWN]) + ("..." if len(value) > SHOWN else "")
    if isinstance(value, Record) and value.args is not None:
        found = f"{value.name}({_texts(value.args) if deep else '...'})"
    elif isinstance(value, Record):
        found = value.name
    elif isinstance(value, list | tuple) and deep and len(value) <= FEW:
        found = f"[{_texts(value)}]" if isinstance(value, list) else f"({_texts(value)})"
    elif isinstance(value, dict | list | tuple):
        found = f"{type(value).__name__} of {len(value)}"
    else:
        found = repr(value)
    return found if len(found) <= LONGEST else f"{found[:LONGEST]}..."


def _texts(values: Sequence[Any]) -> str:
    more = ", ..." if len(values) > FEW else ""
    return ", ".join(text_of(value, deep=False) for value in values[:FEW]) + more


def put(fields: dict[str, Any], key: Any, value: Any) -> None:
    """Put a value under the text of its key; two keys of one text both stay."""
    name = key if isinstance(key, str) else text_of(key)
    if name in fields and name is not key:
        name = f"{name} #{len(fields)}"
    fields[name] = value


def _dict(pairs: Any = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
        put(found, key, value)
    return found


def _list(items: Any = ()) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise InvalidInput("", f"makes a list of {text_of(items)}")
    return list(items)


def _bytes(data: Any = b"", encoding: Any = "latin-1") -> bytes:
    """Bytes, which a pickle of an old protocol writes as text."""
    if isinstance(data, str) and encoding in ("latin1", "latin-1"):
        return data.encode("latin-1")
    if not isinstance(data, bytes):
        raise InvalidInput("", f"makes bytes of {text_of(data)}")
    return data


def _range(*bounds: Any) -> Any:
    """The numbers of a range, as steps are kept; of a long one a record."""
    short = all(type(bound) is int and abs(bound) <= MOST_BOUND for bound in bounds)
    if not short or len(found := range(*bounds)) > MOST_RANGE:
        return Record("builtins.range", bounds)
    return list(found)


def _reconstructor(kind: Any, _base: Any, state: Any) -> Record:
    """An object as protocols 0 and 1 write it: `state` is of the built-in class below its own."""
    made = Record(name_of(kind), ())
    if isinstance(state, dict):
        made.fields = state
    elif isinstance(state, list):
        made.items = state
    return made


# What these names make is plain data.
BUILDERS: Mapping[str, Builder] = {
    "collections.OrderedDict": _dict,
    "collections.defaultdict": lambda _=None, pairs=(): _dict(pairs),
    "collections.Counter": _dict,
    "collections.deque": lambda items=(), _=None: _list(items),
    "builtins.dict": _dict,
    "builtins.list": _list,
    "builtins.tuple": lambda items=(): tuple(_list(items)),
    "builtins.set": _list,
    "builtins.frozenset": _list,
    "builtins.range": _range,
    "builtins.xrange": _range,  # as protocol 2 writes it
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "_codecs.encode": _bytes,
    "copyreg._reconstructor": _reconstructor,
    "torch.Size": lambda items=(): tuple(_list(items)),
}
OF_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


def name_of(kind: Any) -> str:
    """The name of what is called."""
    return kind.name if isinstance(kind, Record) and kind.args is None else text_of(kind)


def named(module: Any, name: Any) -> Record:
    """What stands for a class or a function."""
    if not (isinstance(module, str) and isinstance(name, str)):
        raise InvalidInput("", "names a class by what is no text")
    full = f"{OF_PYTHON_2.get(module, module)}.{name}"
    if len(full) > LONGEST or not full.isprintable():
        raise InvalidInput("", f"names a class {text_of(full)}, which is no name of one")
    return Record(full)


def kind_of(value: Any) -> str:
    """What a value is, which is no tensor that can be read."""
    if isinstance(value, Record):
        return f"a {value.name.removeprefix(REBUILD)}"
    return f"a {type(value).__name__}"


# -- walking -------------------------------------------------------------------------------------


def members(value: Any) -> dict[str, Any] | None:
    """What a dictionary holds, or a network of torch as its state dictionary; None of others."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Record) and isinstance(value.fields.get("_modules"), dict):
        parts = [value.fields.get(part) for part in ("_parameters", "_buffers", "_modules")]
        every = {k: v for part in parts if isinstance(part, dict) for k, v in part.items()}
        return {name: member for name, member in every.items() if member is not None}
    return None


def flat(value: Any) -> dict[str, Any]:
    """The leaves of nested dictionaries by dotted names; a list, or a record, is one."""
    found: dict[str, Any] = {}
    waiting, seen = [("", value, 0)], 0
    while waiting:
        path, item, depth = waiting.pop()
        inner = members(item)
        seen += 1
        if inner is None or depth == DEEPEST:
            found[path] = item
            continue
        longest = max((len(key) for key in inner), default=0)
        if seen + len(waiting) + len(inner) > MOST_NAMES or len(path) + longest > LONGEST_NAME:
            raise InvalidInput("", f"has more than {MOST_NAMES} names, or one that is too long")
        for key, member in reversed(inner.items()):
            name = key if key.isprintable() else text_of(key)
            waiting.append((f"{path}.{name}" if path else name, member, depth + 1))
    return found


def find(value: Any, path: str) -> Any:
    """What lies under a path: dotted names, and `[0]` of lists. Raises LookupError.

    The beginning of several names stands for those, as if they lay in a dictionary.
    """
    if not path:
        return value
    if isinstance(value, list | tuple) and (match := MEMBER.fullmatch(path)):
        return find(value[int(match[1])], match[2])
    fields = value.fields if isinstance(value, Record) else {}
    inner = (members(value) or {}) | fields
    for key, member in inner.items():
        if path == key or (key and path.startswith((f"{key}.", f"{key}["))):
            try:
                return find(member, path[len(key) :].removeprefix("."))
            except LookupError:
                continue
    prefix = f"{path}."
    if part := {k.removeprefix(prefix): m for k, m in inner.items() if k.startswith(prefix)}:
        return part
    raise LookupError(path)


def numbers(value: Any) -> Any:
    """Tensors as numbers and lists of them, also within lists. Raises InvalidInput for too many."""
    left = MOST_NUMBERS

    def plain(item: Any, depth: int) -> Any:
        nonlocal left
        left -= 1 + (prod(item.shape) if hasattr(item, "shape") else 0)
        if left < 0 or depth > FEW:
            raise InvalidInput("", f"is more than {MOST_NUMBERS} numbers, or lists in lists")
        if hasattr(item, "__array__"):
            return np.asarray(item).tolist()
        return [plain(i, depth + 1) for i in item] if isinstance(item, list | tuple) else item

    return plain(value, 0)
