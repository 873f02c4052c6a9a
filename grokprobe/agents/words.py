"""What a tool says: less than 2 kB, with what a citation needs and where the whole answer is."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec

from grokprobe.client.answers import Record
from grokprobe.client.records import CardAnswer, CheckpointAnswer, EmergenceAnswer

MOST_BYTES = 1_990
LONGEST = 160  # characters of one text: of a weight's name, say, that others chose
LEAST = 3  # of each list stay, as long as another has more to give
MOMENTS = ("onset", "midpoint", "settled")
NOWHERE = " (served to others by `grokprobe serve`)"


def told(
    facts: Mapping[str, Any],
    more: str,
    *,
    rows: Iterable[str] = (),
    cite: Any = None,
    page: str | None = None,
) -> str:
    """Facts as JSON; what `rows` names is cut at its end, the first first, until it is short.

    `left_out` says of how many; `more` is where all of it is.
    """
    places = {"cite": cite, "page": page, "more": more}
    found = _shortened(facts) | {name: value for name, value in places.items() if value}
    whole = {name: found[name] for name in rows if found.get(name)}
    for least in (LEAST, 0):
        for name, value in whole.items():
            _cut(found, name, value, least)
    # What is no list can be too long only where others chose its words.
    for name in sorted(found.keys() - {"more"}, key=lambda name: -len(encode(found[name]))):
        if not fits(found):
            del found[name]
            found["left_out"] = "what is longest"
    return encode(found if fits(found) else {"left_out": "all"}).decode()


def _cut(found: dict[str, Any], name: str, whole: Any, least: int) -> None:
    """Leave as many of a list or an object as fit, and `least` in any case."""
    if fits(found):
        return
    kept, most = min(least, len(whole)), len(whole)
    counts = found.setdefault("left_out", {})
    while True:
        tried = (kept + most + 1) // 2 if kept < most else kept
        found[name], counts[name] = _head(whole, tried), len(whole) - tried
        if kept >= most:
            return
        kept, most = (tried, most) if fits(found) else (kept, tried - 1)


def _head(value: Any, count: int) -> Any:
    if isinstance(value, Mapping):
        return dict(islice(value.items(), count))
    return value[:count]


def _shortened(value: Any) -> Any:
    """The same with no text longer than LONGEST."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
    if isinstance(value, Mapping):
        return {name: _shortened(one) for name, one in value.items()}
    return [_shortened(one) for one in value] if isinstance(value, list | tuple) else value


def encode(value: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def fits(value: Any) -> bool:
    """Whether it is short enough as JSON."""
    return len(encode(value)) <= MOST_BYTES


def short(text: str, most: int = MOST_BYTES) -> str:
    """A text of so many bytes at most."""
    data = text.encode()
    return text if len(data) <= most else f"{data[: most - 3].decode(errors='ignore')}…"


def some(record: Record, names: Sequence[str]) -> dict[str, Any]:
    """Some fields of a record, as plain values."""
    every = record.to_dict()
    return {name: every[name] for name in names if name in every}


def more(answer: Any) -> str:
    """Where the whole answer is."""
    found: str = answer.source.address
    return found if "://" in found else found + NOWHERE


def page(answer: Any, run: str, step: int | None = None) -> str | None:
    """The explorer's page of a run, at a step; None where nobody else reaches the service."""
    base = answer.source.address.partition(answer.source.ask.path)[0]
    at = "" if step is None else f"?step={step}"
    return f"{base}/#/runs/{quote(run, safe='')}{at}" if base else None


def relative_distance(weight: Any) -> float:
    """How far apart two weights are, beside their norms; 0 where there is no distance."""
    norms = (weight.norm_a or 0) + (weight.norm_b or 0)
    return float(weight.distance / norms) if weight.distance and norms else 0.0


def of_a_run(card: CardAnswer) -> dict[str, Any]:
    """What a citation of a run needs; the digest is final once the run has ended."""
    digest = f"sha256:{card.digests.card}"
    return {"run": card.run, "created_at": card.created_at, "digest": digest}


def of_a_checkpoint(about: CheckpointAnswer) -> dict[str, Any]:
    """What a citation of a checkpoint needs."""
    found = some(about, ("run", "step", "created_at"))
    return found | {"sha256": about.model.sha256}


def emerged(answer: EmergenceAnswer) -> dict[str, Any]:
    """What `emergence` tells."""
    first, then = answer.memorised, answer.generalised
    return {
        "run": answer.run,
        "provisional": answer.provisional,
        "memorised": first and some(first, ("step", "previous_step")),
        "generalised": then and some(then, ("step", "previous_step")),
        "steps_between": then.step - first.step if first and then else None,
        "times_lost": len(answer.lost),
        "key_frequencies": answer.keys and answer.keys.frequencies,
        "p_values": {null.statistic: null.p_value for null in answer.nulls},
        "phases": {n: [p["start"], p["end"]] for n, p in answer.phases.to_dict().items() if p},
        "series": [
            {"series": name}
            | {m: [at.step, at.low, at.high] for m in MOMENTS if (at := getattr(row, m))}
            for name, row in answer.series.items()
        ],
        "lags": [
            {"series": name} | {m: lag.steps for m in MOMENTS if (lag := row.get(m))}
            for name, row in answer.lags.items()
        ],
    }
