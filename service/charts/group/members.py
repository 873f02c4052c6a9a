"""What the charts of a group share: what its members tell, and the field that colours them."""

from typing import Any, NamedTuple

import msgspec

from grokprobe.analysis.distributions import Seen
from grokprobe.colours import Theme
from service.charts.frame import Answer
from service.runs.emergence import STRUCTURE
from service.runs.groups import SEEN, MemberRow

MOST_COLOURS = 7  # values of a field: more cannot be told apart
MOST_LETTERS = 24  # of such a value
ALL = "all members"
QUANTITIES = {
    "memorised": "step of memorised",
    "generalised": "step of generalised",
    "delay": "delay from memorised to generalised",
    **{name: f"lag of {name.replace('_', ' ')} behind test accuracy" for name in STRUCTURE},
}


class Told(NamedTuple):
    """What one member tells of a quantity, and which colour it has."""

    run: str
    level: str
    seen: Seen


def told(answer: Answer, quantity: str) -> list[Told]:
    """Each member of a group's emergence, in the answer's order."""
    rows, field = msgspec.convert(answer["members"], list[MemberRow]), colouring_field(answer)
    return [Told(row.run, _level(row.config, field), SEEN[quantity](row)) for row in rows]


def colouring_field(answer: Answer) -> str | None:
    """The first field that differs, is no seed, and has few and short values; None without one."""
    for name in answer["differing"]:
        values = {_text(row["config"].get(name)) for row in answer["members"]}
        short = max(map(len, values), default=0) <= MOST_LETTERS
        if name.rpartition(".")[2] != "seed" and 1 < len(values) <= MOST_COLOURS and short:
            return str(name)
    return None


def levels(answer: Answer, theme: Theme) -> dict[str, str]:
    """The colour of each value of the field, in its order; of all members without a field."""
    field = colouring_field(answer)
    if field is None:
        return {ALL: theme.test}
    values = {_text(v): v for row in answer["members"] for v in [row["config"].get(field)]}
    names = sorted(values, key=lambda name: _order(values[name]))
    return dict(zip(names, theme.series, strict=False))


def name_of(field: str | None) -> str | None:
    """The last part of a field's dotted name, in words."""
    return field and field.rpartition(".")[2].replace("_", " ")


def _level(config: dict[str, Any], field: str | None) -> str:
    return ALL if field is None else _text(config.get(field))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers first, by their size."""
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, _text(value)
