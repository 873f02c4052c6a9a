"""What of a run emerged when, as marks over a step axis.

Nanda et al.'s phases (2023, section 5.2), and where train and test accuracy held, each with the
bracket that the checkpoints leave.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from grokprobe.colours import Theme
from service.charts.axes import WIDTH, drawn_at, names_axis, step_axis
from service.charts.frame import Answer, Spec

ROW = 17  # pixels
PHASE = "phase"
PHASES = {
    "memorisation": "memorisation",
    "circuit_formation": "circuit formation",
    "cleanup": "cleanup",
}
HELD = ("memorised", "generalised")


def behind(emergence: Answer, theme: Theme, x: Spec, logarithmic: bool) -> list[Spec]:
    """The phases, shaded, and a rule at each step from which a split held."""
    low, high = x["scale"]["domain"]
    steps = [emergence[name]["step"] for name in HELD if emergence[name]]
    rules = [{"step": drawn_at(step, logarithmic=logarithmic)} for step in steps]
    rule = {"type": "rule", "strokeDash": [3, 3], "color": theme.quiet}
    tints = _tints(theme)
    return [
        *(
            {
                "data": {"values": [_drawn(row, logarithmic)]},
                "mark": {
                    "type": "rect",
                    "opacity": 0.11,
                    "clip": True,
                    "color": tints[row["phase"]],
                },
                "encoding": {"x": {"field": "from", **x}, "x2": {"field": "to"}},
            }
            for row in _phases(emergence)
        ),
        {
            "data": {"values": [row for row in rules if low <= row["step"] <= high]},
            "mark": rule,
            "encoding": {"x": {"field": "step", **x}},
        },
    ]


def _tints(theme: Theme) -> dict[str, str]:
    return dict(zip(PHASES.values(), (theme.train, theme.restricted, theme.key), strict=True))


def _drawn(row: Mapping[str, Any], logarithmic: bool) -> dict[str, Any]:
    ends = {end: drawn_at(row[end], logarithmic=logarithmic) for end in ("from", "to")}
    return {**row, **ends}


def _phases(emergence: Answer) -> list[dict[str, Any]]:
    """The phases in their order.

    Where train accuracy was lost late, memorisation for good ends after other phases have begun: it
    is drawn up to the first of them, and the bracket of `memorised` tells the rest.
    """
    found = {name: phase for name in PHASES if (phase := emergence["phases"][name])}
    begun = [phase["start"] for name, phase in found.items() if name != "memorisation"]
    return [
        {
            "row": PHASE,
            "phase": PHASES[name],
            "from": phase["start"],
            "to": min([phase["end"], *begun]) if name == "memorisation" else phase["end"],
        }
        for name, phase in found.items()
    ]


def _stretches(emergence: Answer, last: float) -> list[dict[str, Any]]:
    """Where each split held: memorised up to the last step, test accuracy also for a while."""
    memorised = emergence["memorised"]
    held = [{"row": "memorised", "from": memorised["step"], "to": last}] if memorised else []
    return held + [
        {
            "row": "generalised",
            "from": one["gained"]["step"],
            "to": one["lost"]["step"] if one["lost"] else last,
        }
        for one in emergence["intervals"]
    ]


def _brackets(emergence: Answer, first: float) -> list[dict[str, Any]]:
    """Between which checkpoints each split came to hold for good."""
    return [
        {
            "row": name,
            "from": first if found["previous_step"] is None else found["previous_step"],
            "to": found["step"],
        }
        for name in HELD
        if (found := emergence[name])
    ]


def emerged(emergence: Answer, theme: Theme, steps: Sequence[float], logarithmic: bool) -> Spec:
    """Three rows: the phases, and for train and test where it held, the bracket at its begin."""
    x = step_axis(steps, logarithmic=logarithmic, title=None)
    x["axis"] |= {"domain": False}
    passed = _phases(emergence)
    there = [row["phase"] for row in passed]
    tints = {phase: tint for phase, tint in _tints(theme).items() if phase in there}
    phases = {
        "field": "phase",
        "type": "nominal",
        "title": None,
        "scale": {"domain": list(tints), "range": list(tints.values())},
    }
    of_train = {"test": f"datum.row == '{HELD[0]}'", "value": theme.train}
    split = {"condition": of_train, "value": theme.test}

    def bars(rows: Sequence[Mapping[str, Any]], mark: Spec, colours: Spec) -> Spec:
        return {
            "data": {"values": [_drawn(row, logarithmic) for row in rows]},
            "mark": {"type": "bar", "clip": True, **mark},
            "encoding": {**ends, **colours},
        }

    ends = {
        "x": {"field": "from", **x},
        "x2": {"field": "to"},
        "y": {"field": "row", **names_axis([PHASE, *HELD])},
    }
    edge = {"strokeWidth": 2}  # seen also where the bracket is narrower than a pixel
    return {
        "width": WIDTH,
        "height": 3 * ROW,
        "layer": [
            *([bars(passed, {"opacity": 0.6}, {"color": phases})] if passed else []),
            bars(_stretches(emergence, steps[-1]), {"opacity": 0.3}, {"color": split}),
            bars(_brackets(emergence, steps[0]), edge, {"color": split, "stroke": split}),
        ],
    }


def notes(emergence: Answer | None) -> list[str]:
    """In words from when on each split held, or that it did not; without a split, that too."""
    if emergence is None:
        return ["without a split nobody knows when it memorised and generalised"]
    ends = " so far" if emergence["provisional"] else ""
    return ["; ".join(_words(name, emergence[name], ends) for name in HELD)]


def _words(name: str, found: Mapping[str, Any] | None, ends: str) -> str:
    if found is None:
        return f"not {name}{ends}"
    if found["previous_step"] is None:
        return f"{name} from the first checkpoint"
    bracket = f"{name} at step {found['step']:,} (not yet at {found['previous_step']:,})"
    return bracket if found["confirmed"] else f"{bracket}, seen once"
