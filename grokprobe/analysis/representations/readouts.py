"""How many answers a linear readout finds in a checkpoint's representations (ridge.py)."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

from grokprobe.analysis.probe import Probe
from grokprobe.analysis.representations.ridge import Hits, Rows, embedding_sums, held_out

Representation = Literal["embedding_sum", "neurons", "residual"]


def accuracy(probe: Probe, of: Representation, part: Literal["test"] | None = None) -> float | None:
    """The share of known pairs, or of those of a part of the split, that a readout answers right.

    Each by the readout of the folds that it is not of. None where the model does not offer the
    representation, where nothing in it varies, and of a part that is unknown or empty.
    """
    kept, what = probe.kept, f"readout of {of}"
    if what not in kept:
        kept[what] = _hits(probe, of)
    hits: Hits | None = kept[what]
    if hits is None or part is None:
        return None if hits is None else float(hits.mean())
    return probe.mean(hits, part)


def _hits(probe: Probe, of: Representation) -> Hits | None:
    read = _reading(probe, of)
    return None if read is None else held_out(read, probe.answers, probe.task.modulus)


def _reading(probe: Probe, of: Representation) -> Callable[[], Iterable[Rows]] | None:
    """What reads the representation of all pairs."""
    if of == "embedding_sum":
        first, second = probe.embedding, probe.embedding_b
        second = first if second is None else second
        if first is None or second is None or first.shape != second.shape:
            return None
        return partial(embedding_sums, first, second)
    if of not in probe.outputs.names:
        return None
    return lambda: (rows for [rows] in probe.outputs.blocks([of]))
