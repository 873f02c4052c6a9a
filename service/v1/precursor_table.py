"""The table of a study: a row a series, what both halves say in columns of their own."""

from typing import Any

from grokprobe.analysis.distributions import Distribution
from grokprobe.analysis.precursors.study import Judgement, Precursor, Study
from service.formats.tables import Table, about, columns_of

HALVES = ("chosen", "judged")
COUNTS = [name for name in Judgement.__struct_fields__ if name != "lead"]
LEADS = ("members", "mean", "low", "high", "standard_deviation", "min", "max")
QUARTILES = ("q1", "median", "q3")


def table_of_study(answer: Study) -> Table:
    """A row for each series; the lead's quartiles are those of survival, the censored counted."""
    rows = [_cells(one) for one in answer.series]
    return Table(_columns(), rows, about(answer, "series"))


def _columns() -> dict[str, Any]:
    counts, leads = columns_of(Judgement), columns_of(Distribution)
    of_a_half = {
        **{name: counts[name] | None for name in COUNTS},
        **{f"lead_{name}": leads[name] | None for name in LEADS},
        **{f"lead_{name}": float | None for name in QUARTILES},
        "lead_censored": int | None,
    }
    return {
        "series": str,
        "direction": str | None,
        "threshold": float | None,
        "margin": float | None,
        "refused": str | None,
        "needs": str,
        "pairs": int,
        "stored": str,
        **{f"{half}_{name}": kind for half in HALVES for name, kind in of_a_half.items()},
    }


def _cells(one: Precursor) -> dict[str, Any]:
    found = {
        "series": one.series,
        "direction": one.threshold and one.threshold.direction,
        "threshold": one.threshold and one.threshold.value,
        "margin": one.threshold and one.threshold.margin,
        "refused": one.refused,
        "needs": " ".join(one.cost.needs),
        "pairs": one.cost.pairs,
        "stored": one.cost.stored,
    }
    for half in HALVES:
        found |= {f"{half}_{name}": cell for name, cell in _of(getattr(one, half)).items()}
    return found


def _of(half: Judgement | None) -> dict[str, Any]:
    """The cells of a half; empty where there is no threshold."""
    lead = half.lead if half else None
    quartiles = lead.survival_quartiles if lead else (None,) * len(QUARTILES)
    return {
        **{name: getattr(half, name, None) for name in COUNTS},
        **{f"lead_{name}": getattr(lead, name, None) for name in LEADS},
        **{f"lead_{name}": cell for name, cell in zip(QUARTILES, quartiles, strict=True)},
        "lead_censored": lead.censored.members if lead else None,
    }
