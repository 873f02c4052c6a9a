"""What two networks, a and b, answer to the same pairs: divergence, losses, changed answers.

Of the logits z of a pair, with m the largest and lambda = ln sum_c exp(z_c - m), in nats:

    ln P(c) = z_c - m - lambda
    KL(a || b) = sum_c P_a(c) (ln P_a(c) - ln P_b(c)) = sum_c P_a(c) d_c + lambda_b - lambda_a

with d_c = (z_c - m) of a less that of b. lambda is log1p of all terms but the largest, as in
`measures.cross_entropy`: late in training it is far below 1e-16, and so is the divergence. Means
are over the pairs of a part; pairs without an answer are in none. Source: docs/maths.md,
"Comparing two checkpoints".
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.fourier import Array
from grokprobe.task import UNDEFINED, Mask, Residues

Split = Literal["train", "test"]


class PartComparison(msgspec.Struct, frozen=True):
    """Two networks over a part of the pairs: that of `split_a` in a's split and `split_b` in b's.

    Null stands for all pairs, as it does of an unknown split. Losses and divergences are means, in
    nats; `loss_difference` is that of b less that of a. `changed` counts pairs with another answer,
    right or wrong.
    """

    split_a: Split | None
    split_b: Split | None
    pairs: int
    changed: int
    right_to_wrong: int
    wrong_to_right: int
    accuracy_a: float
    accuracy_b: float
    loss_a: float
    loss_b: float
    loss_difference: float
    kl_a_b: float
    kl_b_a: float


class _Answers:
    """The logits (some, p) of one network, as the divergence needs them."""

    def __init__(self, logits: NDArray[np.float32]) -> None:
        rows, self.predicted = np.arange(len(logits)), logits.argmax(axis=1)
        largest = logits[rows, self.predicted][:, None]
        self.below = np.subtract(logits, largest, dtype=np.float64)
        self.terms = np.exp(self.below)
        self.terms[rows, self.predicted] = 0.0  # added last: all others may be below 1e-16 of it
        others = self.terms.sum(axis=1)
        self.terms[rows, self.predicted] = 1.0
        self.total, self.log_total = 1 + others, np.log1p(others)

    def mean(self, values: Array) -> Array:
        """The mean of values (some, p) by the network's own probabilities, (some,)."""
        found: Array = np.einsum("ij,ij->i", self.terms, values) / self.total
        return found


class AnswerComparison:
    """What is read of both networks' logits, one figure a pair, (2, p*p) or (p*p,).

    `losses` and `hits` are those of pairs that have an answer, else 0 and False; `divergences` are
    KL(a || b) and KL(b || a), at least 0.
    """

    def __init__(self, answers: Residues) -> None:
        self._answers, self.known = answers, answers != UNDEFINED
        self.losses, self.divergences = np.zeros((2, 2, len(answers)))
        self.hits = np.zeros((2, len(answers)), dtype=np.bool_)
        self.changed = np.zeros(len(answers), dtype=np.bool_)

    def take(
        self, first: int, logits_a: NDArray[np.float32], logits_b: NDArray[np.float32]
    ) -> None:
        """The logits (some, p) of both for the pairs from the row `first` on."""
        rows = slice(first, first + len(logits_a))
        both = a, b = _Answers(logits_a), _Answers(logits_b)
        self.changed[rows] = a.predicted != b.predicted
        known, right = self.known[rows], np.where(self.known[rows], self._answers[rows], 0)
        for i, one in enumerate(both):
            own = one.below[np.arange(len(right)), right]
            self.losses[i, rows] = np.where(known, one.log_total - own, 0.0)
            self.hits[i, rows] = known & (one.predicted == right)
        apart, further = a.below - b.below, b.log_total - a.log_total
        self.divergences[0, rows] = np.maximum(a.mean(apart) + further, 0.0)
        self.divergences[1, rows] = np.maximum(-b.mean(apart) - further, 0.0)

    @property
    def right_to_wrong(self) -> NDArray[np.int64]:
        """The rows of the pairs that a answers rightly and b does not, ascending."""
        return np.flatnonzero(self.hits[0] & ~self.hits[1])

    @property
    def wrong_to_right(self) -> NDArray[np.int64]:
        """The rows of the pairs that b answers rightly and a does not, ascending."""
        return np.flatnonzero(self.hits[1] & ~self.hits[0])

    def parts(self, train_a: Mask | None, train_b: Mask | None) -> list[PartComparison]:
        """All pairs, then each part of the two splits that has pairs; None is an unknown split."""
        found = [self._part(None, None, self.known)]
        for split_a, in_a in _splits(train_a):
            for split_b, in_b in _splits(train_b):
                mask = self.known & in_a & in_b
                if (split_a or split_b) and mask.any():
                    found.append(self._part(split_a, split_b, mask))
        return found

    def _part(self, split_a: Split | None, split_b: Split | None, mask: Mask) -> PartComparison:
        hits, losses = self.hits[:, mask], self.losses[:, mask].mean(axis=1)
        accuracies, divergences = hits.mean(axis=1), self.divergences[:, mask].mean(axis=1)
        return PartComparison(
            split_a=split_a,
            split_b=split_b,
            pairs=int(mask.sum()),
            changed=int(self.changed[mask].sum()),
            right_to_wrong=int(np.sum(hits[0] & ~hits[1])),
            wrong_to_right=int(np.sum(hits[1] & ~hits[0])),
            accuracy_a=float(accuracies[0]),
            accuracy_b=float(accuracies[1]),
            loss_a=float(losses[0]),
            loss_b=float(losses[1]),
            loss_difference=float(losses[1] - losses[0]),
            kl_a_b=float(divergences[0]),
            kl_b_a=float(divergences[1]),
        )


def _splits(train: Mask | None) -> Iterator[tuple[Split | None, Mask | NDArray[np.bool_]]]:
    if train is None:
        yield None, np.array(True)
    else:
        yield "train", train
        yield "test", ~train
