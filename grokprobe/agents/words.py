"""What a tool says: less than 2 kB, with what a citation needs and where the whole answer is."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from grokprobe.client.answers import Record
from grokprobe.client.errors import ClientError

MOST_BYTES = 1_990
NOWHERE = " (served to others by `grokprobe serve`)"


def told(facts: Mapping[str, Any], more: str, *, rows: Iterable[str] = (), cite: Any = None) -> str:
    """Facts as JSON; the lists named by `rows` are cut at their ends until it is short enough.

    `left_out` says of how many; `more` is where all of it is.
    """
    found: dict[str, Any] = {**facts, **({"cite": cite} if cite else {}), "more": more}
    lists = [name for name in rows if isinstance(found.get(name), list)]
    left_out = dict.fromkeys(lists, 0)
    while len(data := encode(found)) > MOST_BYTES:
        longest = max(lists, key=lambda name: len(encode(found[name])), default=None)
        if longest is None or not found[longest]:
            return data[:MOST_BYTES].decode(errors="ignore")
        found[longest] = found[longest][:-1]
        left_out[longest] += 1
        found["left_out"] = {name: count for name, count in left_out.items() if count}
    return data.decode()


def encode(value: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def refusal(error: ClientError, known: Iterable[str] = (), asked: Iterable[str] = ()) -> str:
    """What was wrong in the service's words, and which names are near those that were asked."""
    words = str(error)[:1_200]
    near = [
        name
        for one in asked
        for name in difflib.get_close_matches(one, list(known), n=3, cutoff=0.5)
    ]
    hint = f". Ask for: {', '.join(dict.fromkeys(near))}" if near else ""
    return (words + hint).encode()[:MOST_BYTES].decode(errors="ignore")


def some(record: Record, names: Sequence[str]) -> dict[str, Any]:
    """Some fields of a record, as plain values."""
    every = record.to_dict()
    return {name: every[name] for name in names if name in every}


def more(answer: Any, beside: str = "") -> str:
    """Where the whole answer is."""
    address: str = answer.source.address
    place, question, query = address.partition("?")
    found = place + beside + (question + query if not beside else "")
    return found if "://" in found else found + NOWHERE


def relative_distance(weight: Any) -> float:
    """How far apart two weights are, beside their norms; 0 where there is no distance."""
    norms = (weight.norm_a or 0) + (weight.norm_b or 0)
    return float(weight.distance / norms) if weight.distance and norms else 0.0
