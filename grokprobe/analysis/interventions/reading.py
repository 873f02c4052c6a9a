"""What an intervention reads of a network: outputs as a whole, and by which pairs it is judged.

Unlike measures, which are sums, an intervention looks at the same outputs once for every set: they
are held whole, in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.interventions.outcome import Judge
from grokprobe.analysis.outputs import Outputs, PairOutputs, slabs
from grokprobe.analysis.readings import by_element
from grokprobe.task import UNDEFINED, Mask, Residues, pairs


@dataclass(frozen=True)
class Grid:
    """The pairs (m, 2) by which a network is judged, and the classes that count for each, (c,)."""

    pairs: Residues
    classes: Residues
    judge: Judge


def group_grid(basis: Basis, answers: Residues, train: Mask | None) -> Grid:
    """The pairs of the group's elements, a after a, and its classes: where frequencies are read."""
    kept, p = basis.residues, int(len(answers) ** 0.5)
    grid = np.ix_(kept, kept)
    first, second = (np.broadcast_to(part, (len(kept),) * 2).ravel() for part in grid)
    judge = Judge(
        basis.elements[answers.reshape(p, p)[grid]].ravel(),
        None if train is None else train.reshape(p, p)[grid].ravel(),
    )
    return Grid(np.stack([first, second], axis=1), kept, judge)


def known_grid(answers: Residues, train: Mask | None) -> Grid:
    """All pairs that have an answer, in canonical order, and every class."""
    known, p = answers != UNDEFINED, int(len(answers) ** 0.5)
    judge = Judge(answers[known], None if train is None else train[known])
    return Grid(pairs(p)[known], np.arange(p), judge)


def read_cubes(
    outputs: PairOutputs, names: Sequence[str], basis: Basis, p: int
) -> dict[str, Outputs]:
    """The outputs over the pairs of a group, (n, n, width); of logits the group's classes alone."""
    found: dict[str, Outputs] = {}
    for first, arrays in slabs(outputs, names, p):
        for name, values in zip(names, arrays, strict=True):
            for i, rows in by_element(basis, first, values, of_classes=name == "logits"):
                cube = found.setdefault(name, np.empty((basis.order, *rows.shape), np.float32))
                cube[i] = rows
    return found


def read_pairs(
    outputs: PairOutputs, names: Sequence[str], known: NDArray[np.bool_]
) -> dict[str, Outputs]:
    """The outputs of the pairs that have an answer, (m, width)."""
    parts: dict[str, list[Outputs]] = {name: [] for name in names}
    at = 0
    for block in outputs.blocks(names):
        for name, rows in zip(names, block, strict=True):
            parts[name].append(rows[known[at : at + len(rows)]])
        at += len(block[0])
    return {name: np.concatenate(of) for name, of in parts.items()}
