"""What is read of all pairs in one pass: which readings there are, and the pass.

A reading takes the pairs of one a after another and keeps sums of them (`LogitSums`, `NeuronSums`,
`Gram`), a figure of each pair (`PairFigures`, `PairAnswers`), or the rows of train pairs
(`TrainRows`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import Outputs, PairOutputs, slabs

Reading = Literal["figures", "answers", "sums", "train_rows", "neurons", "gram"]
OF_EACH_PAIR: tuple[Reading, ...] = ("figures", "answers", "gram")
EVERYTHING: tuple[Reading, ...] = ("figures", "sums", "neurons")
OUTPUT_OF: dict[Reading, str] = {
    "figures": "logits",
    "answers": "logits",
    "sums": "logits",
    "train_rows": "logits",
    "neurons": "neurons",
    "gram": "neurons",
}


class TrainRows:
    """The logits of the train pairs among the group's elements, held in float32 for a second look.

    They are as many as the train pairs times p: half a gigabyte at most. Without them that look
    computes the logits of all pairs once more.
    """

    def __init__(self, train: NDArray[np.bool_]) -> None:
        self._train = train
        self._rows: list[Outputs] = [np.empty((0, 0), np.float32)] * len(train)

    def take(self, i: int, L: Outputs) -> None:
        """The logits (n, n) over b and c of the element i of a."""
        self._rows[i] = L[self._train[i]]

    def __iter__(self) -> Iterator[tuple[int, Array]]:
        """Each element of a with the logits (pairs, n) of its train pairs."""
        return ((i, L.astype(np.float64)) for i, L in enumerate(self._rows))


def sweep(outputs: PairOutputs, basis: Basis, p: int, readings: Mapping[Reading, Any]) -> None:
    """Show all pairs to these readings, each output computed once."""
    names = sorted({OUTPUT_OF[name] for name in readings})
    for first, arrays in slabs(outputs, names, p) if names else ():
        found = dict(zip(names, arrays, strict=True))
        for name, reading in readings.items():
            values = found[OUTPUT_OF[name]]
            if name in OF_EACH_PAIR:
                reading.take(first * p, values.reshape(-1, values.shape[2]))
                continue
            for i, rows in by_element(basis, first, values, of_classes=name != "neurons"):
                reading.take(i, rows)


def by_element(
    basis: Basis, first: int, values: Outputs, of_classes: bool
) -> Iterator[tuple[int, Outputs]]:
    """Values (some a, p, width) from the residue `first` of a on, by the group's elements.

    Residues that the group leaves out are left out of a, of b, and of classes.
    """
    kept, natural = basis.residues, basis.reindex == "natural"
    for a, rows in enumerate(values, first):
        i = int(basis.elements[a])
        if natural:
            yield i, rows
        elif i >= 0:
            yield i, rows[np.ix_(kept, kept)] if of_classes else rows[kept]
