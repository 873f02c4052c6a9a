"""From what the members of a group tell to the answer, and to its table of a row a member."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec

from grokprobe.analysis.distributions import (
    Delay,
    Distribution,
    Seen,
    SignedDistribution,
    distribution,
    signed_distribution,
)
from grokprobe.analysis.emergence import Crossing, Held, Lag, Level
from grokprobe.analysis.lasting import Turn
from service.formats.tables import Table, about, columns_of, to_json
from service.runs.emergence import STRUCTURE
from service.runs.groups import SEEN, MemberRow


class Distributions(msgspec.Struct, frozen=True):
    """Each quantity over the members, in steps."""

    memorised: Distribution
    generalised: Distribution
    delay: SignedDistribution
    lags: dict[str, SignedDistribution]


class GroupEmergenceAnswer(msgspec.Struct, frozen=True):
    """A group; `provisional` while any of its members goes on."""

    group: str
    provisional: bool
    differing: list[str]  # the names that `config` has in every row
    distribution: Distributions
    members: list[MemberRow]


LEVELS: tuple[Level, ...] = get_args(Level)
BEFORE = ("run", "seed", "status", "checkpoint_count", "latest_step")
AFTER = ("train_accuracy", "test_accuracy")
INT64 = range(-(2**63), 2**63)
EXACT = 2**53  # whole numbers up to here are floats, too

# The records of a member whose fields are columns, `memorised_step` and so on.
RECORDS: dict[str, type[msgspec.Struct]] = {
    "memorised": Held,
    "generalised": Held,
    "lost": Turn,
    "delay": Delay,
    **dict.fromkeys(LEVELS, Crossing),
    **{f"{name}_lag": Lag for name in STRUCTURE},
}


def answer_group(group: str, rows: Sequence[MemberRow]) -> GroupEmergenceAnswer:
    """The answer, its configurations reduced to what differs."""
    names = differing([row.config for row in rows])
    reduced = [{name: row.config.get(name) for name in names} for row in rows]
    return GroupEmergenceAnswer(
        group=group,
        provisional=any(row.status == "running" for row in rows),
        differing=names,
        distribution=_distributions(rows),
        members=[
            msgspec.structs.replace(row, config=config)
            for row, config in zip(rows, reduced, strict=True)
        ],
    )


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names whose values are not the same in all; one that is missing differs from any."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({_text(config, name) for config in configs}) > 1]


def _text(config: Mapping[str, Any], name: str) -> bytes | None:
    return to_json(config[name]) if name in config else None


def _distributions(rows: Sequence[MemberRow]) -> Distributions:
    def seen(quantity: str) -> list[Seen]:
        return [SEEN[quantity](row) for row in rows]

    return Distributions(
        memorised=distribution(seen("memorised")),
        generalised=distribution(seen("generalised")),
        delay=signed_distribution(seen("delay")),
        lags={name: signed_distribution(seen(name)) for name in STRUCTURE},
    )


def table_of_group(answer: GroupEmergenceAnswer) -> Table:
    """A row a member, every record's fields in columns of their own."""
    kinds = columns_of(MemberRow)
    configs = {name: [row.config[name] for row in answer.members] for name in answer.differing}
    columns = {
        **{name: kinds[name] for name in BEFORE},
        **{f"config.{name}": _kind(values) for name, values in configs.items()},
        **{name: kinds[name] for name in AFTER},
        "rise": float | None,
        **{
            f"{name}_{field}": kind | None
            for name, record in RECORDS.items()
            for field, kind in columns_of(record).items()
        },
    }
    texts = {name for name in answer.differing if columns[f"config.{name}"] == str | None}
    return Table(columns, [_cells(row, texts) for row in answer.members], about(answer, "members"))


def _kind(values: Sequence[Any]) -> Any:
    """What the column of a field of the configuration holds: one type, or text."""
    kinds = {type(value) for value in values if value is not None}
    whole = [value for value in values if type(value) is int]
    if kinds == {bool}:
        return bool | None
    if kinds == {int} and all(value in INT64 for value in whole):
        return int | None
    if kinds in ({float}, {int, float}) and all(abs(value) <= EXACT for value in whole):
        return float | None
    return str | None


def _cells(row: MemberRow, texts: set[str]) -> dict[str, Any]:
    """A member's cells by column; what is neither a number nor text is JSON."""
    found: dict[str, Any] = {name: getattr(row, name) for name in (*BEFORE, *AFTER)}
    for name, value in row.config.items():
        text = name in texts and value is not None and not isinstance(value, str)
        found[f"config.{name}"] = to_json(value).decode() if text else value
    found["rise"] = row.transition.rise
    for name, kind in RECORDS.items():
        record = _record(row, name)
        for field in kind.__struct_fields__:
            found[f"{name}_{field}"] = getattr(record, field, None)
    return found


def _record(row: MemberRow, name: str) -> msgspec.Struct | None:
    if name in LEVELS:
        found: msgspec.Struct | None = getattr(row.transition, name)
    elif name.endswith("_lag"):
        found = row.lags[name.removesuffix("_lag")]
    else:
        found = getattr(row, name)
    return found
