"""A question to the service, before and after it was asked."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from grokprobe.client.errors import ClientError

Parameter = str | int | float | None
PICTURES = ("vega-lite", "svg", "png", "pdf")


class Ask(msgspec.Struct, frozen=True):
    """What is asked: a route with its names filled in, its query, and of which run it is.

    `identity` is when the runs were created: a freed name may be used again. Empty where the answer
    is of no run that is known yet, so that it has to be asked for each time.
    """

    route: str  # such as GET /v1/runs/{run}
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    identity: str = ""

    @property
    def method(self) -> str:
        """GET or POST."""
        return self.route.partition(" ")[0]

    def at(self, **more: Parameter) -> "Ask":
        """The same with more in its query."""
        return msgspec.structs.replace(self, query=(*self.query, *given(more)))

    def at_step(self, step: int) -> "Ask":
        """The same of a numbered step, where it is of a checkpoint."""
        before, between, after = self.path.partition("/checkpoints/")
        _, slash, rest = after.partition("/")
        path = f"{before}{between}{step}{slash}{rest}" if between and after else self.path
        return msgspec.structs.replace(self, path=path)


def ask(
    route: str,
    names: Mapping[str, str],
    query: Mapping[str, Any] | None = None,
    identity: str = "",
    body: Mapping[str, Any] | None = None,
) -> Ask:
    """The question of a route. Raises ClientError for a name that no address can have."""
    for kind, name in names.items():
        check_name(kind, name)
    path = route.partition(" ")[2].format_map({n: quote(v, safe="") for n, v in names.items()})
    return Ask(route, path, given(query or {}), None if body is None else _sent(body), identity)


def check_name(kind: str, name: Any) -> None:
    """Raise ClientError for a name that no address can have, or that no text holds."""
    if not isinstance(name, str) or not _is_text(name) or name in ("", ".", ".."):
        raise ClientError(f"expected the name of a {kind}, got {name!r:.80}")


def given(query: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is not None, as a query has it; a list is one word with commas. Raises ClientError."""
    found = tuple((name, _word(value)) for name, value in query.items() if value is not None)
    for name, word in found:
        if not _is_text(word):
            raise ClientError(f"{name}: expected text, got {word!r:.80}")
    return found


def is_of_headers(given: Any) -> bool:
    """Whether it is text that a header can have."""
    return isinstance(given, str) and given.isascii() and given.isprintable()


def _is_text(word: str) -> bool:
    """Whether UTF-8 can have it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _sent(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ClientError(f"expected text, numbers and rows of them, got {body!r:.80}") from None


def _word(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    value = _plain(value)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(value: Any) -> Any:
    """Numbers and rows of numpy and its like as those of Python; other rows as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, Iterable) else value


def whole_pairs(pairs: Iterable[Iterable[Any]]) -> list[list[int]]:
    """Pairs of residues, rows of any kind. Raises ClientError for what is no whole number."""
    try:
        rows = [list(pair) for pair in pairs]
        found = [[int(number) for number in row] for row in rows]
    except (TypeError, ValueError, OverflowError):
        raise ClientError(f"expected pairs such as [(1, 5)], got {pairs!r:.80}") from None
    for row, numbers in zip(rows, found, strict=True):
        if row != numbers:
            raise ClientError(f"expected pairs of whole numbers, got {tuple(row)!r}")
    return found


class Source(Protocol):
    """Where an answer came from, and can be had in other formats."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats on offer."""

    def fetch(self, **query: Parameter) -> bytes:
        """The answer to the same question with this in its query."""
