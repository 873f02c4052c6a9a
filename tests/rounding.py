"""How far two computations of the same numbers in float32 may lie apart, on whatever processor."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from tests.trained import tiny_config
from trainer.architecture import TransformerSection

EPS = float(np.finfo(np.float32).eps)


def rounding(*lengths: int) -> float:
    """The relative difference of two results of sums of so many products, one after the other.

    Each of n operations errs by up to eps / 2. Their errors add up like a random walk: with
    probability 1 - 2 exp(-k^2 / 2) to less than k sqrt(n) eps / 2 (Higham and Mary 2019, theorem
    2.4). With k = 4 for each of the two results, that is 4 sqrt(n) eps. In which order a processor
    sums decides where in that range it ends.
    """
    return 4 * EPS * sqrt(sum(lengths))


def lengths(section: TransformerSection, modulus: int) -> list[int]:
    """The sums from a pair to its logits: d_model for Q, K, V, O, W_in, W_U, and the others."""
    return [*[section.d_model] * 6, section.heads * section.d_head, section.d_mlp, modulus]


_TINY = tiny_config()
assert isinstance(_TINY.model, TransformerSection)
TINY_ROUNDING = rounding(*lengths(_TINY.model, _TINY.task.modulus))  # of the outputs of `tiny`


def assert_alike(ours: ArrayLike, theirs: ArrayLike, relative: float) -> None:
    """Equal up to rounding, relative to the largest: a small number is a difference of others."""
    theirs = np.asarray(theirs)
    largest = float(np.abs(theirs).max(initial=0.0))
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=relative * largest)
