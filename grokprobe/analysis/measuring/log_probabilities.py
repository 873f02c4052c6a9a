"""The rows of the table of measures on the spread of the correct answer's log-probability."""

from functools import partial

import numpy as np

from grokprobe.analysis.fourier import Array
from grokprobe.analysis.measures import quantile
from grokprobe.analysis.measuring.definitions import MeasureDefinition
from grokprobe.analysis.probe import Part, Probe

QUANTILES = {  # by the end of a measure's name: which, and in words
    "minimum": (0.0, "least"),
    "q01": (0.01, "1 % quantile of the"),
    "q05": (0.05, "5 % quantile of the"),
    "median": (0.5, "median of the"),
}
PARTS: tuple[Part, ...] = ("train", "test")


def _at(part: Part, level: float, probe: Probe) -> float | None:
    name = f"{part} log-probabilities"
    if name not in probe.kept:
        probe.kept[name] = np.sort(0.0 - probe.of_part(part, probe.losses))  # never -0
    ascending: Array = probe.kept[name]
    return quantile(ascending, level) if ascending.size else None


LOG_PROBABILITIES = tuple(
    MeasureDefinition(
        f"{part}_log_probability_{name}",
        f"{words} log-probability of the correct answer over the {part} pairs, in nats",
        ("split",),
        partial(_at, part, level),
    )
    for part in PARTS
    for name, (level, words) in QUANTILES.items()
)
