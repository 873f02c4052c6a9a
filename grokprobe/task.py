"""The task: an operation on residues, its pairs in canonical order, its answers, its split.

Conventions, stated once (docs/maths.md, "Setting"):
    residues 0..p-1; row of the pair (a, b) is a*p + b; answers are op(a, b) mod p;
    s5: residue a is the permutation S5[a] of 0..4 in one-line notation, p = 120 of them in
    lexicographic order (0 is the identity), and the answer is the composition (a b)(i) = a(b(i));
    the split draws floor(train_fraction * n) of the n defined pairs in canonical order by
    `numpy.random.default_rng(split_seed).permutation(n)`, on the CPU, whatever trains.
"""

import hashlib
import itertools
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput

Operation = Literal["add", "sub", "mul", "div", "x2+y2", "x2+xy+y2", "x3+xy", "random", "s5"]
Residues = NDArray[np.int64]
Mask = NDArray[np.bool_]

UNDEFINED = -1  # the answer of a pair on which the operation is not defined
CYCLIC = ("add", "sub")  # operations of the group Z_p, which is one for every p
SMALLEST_COMPOSITE = 5  # below it an even or composite modulus has nothing to analyse
MAX_MODULUS = 509  # the logits of all pairs are p^3 numbers: half a gigabyte here
S5 = tuple(itertools.permutations(range(5)))

Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which table is learned. `operation_seed` matters to the operation `random` alone."""

    operation: Operation = "add"
    modulus: int = 113
    operation_seed: Seed = 0


def check_prime(modulus: int) -> None:
    """Raise InvalidInput unless `modulus` is an odd prime."""
    if modulus < 3 or any(modulus % d == 0 for d in range(2, int(modulus**0.5) + 1)):
        message = f"must be an odd prime, got {modulus}; add and sub take any modulus from 5"
        raise InvalidInput("modulus", message)


def check_task(task: Task) -> None:
    """Raise InvalidInput unless the modulus suits the operation.

    120 for s5; any from 5 for add and sub; an odd prime for the others.
    """
    p = task.modulus
    if task.operation == "s5":
        if p != len(S5):
            raise InvalidInput("modulus", f"s5 has {len(S5)} elements: set modulus = {len(S5)}")
        return
    if p > MAX_MODULUS:
        raise InvalidInput("modulus", f"must be at most {MAX_MODULUS}, got {p}")
    if task.operation not in CYCLIC or p < SMALLEST_COMPOSITE:
        check_prime(p)


def pairs(modulus: int) -> Residues:
    """All pairs in canonical order, int64 (p*p, 2)."""
    return np.stack(np.divmod(np.arange(modulus * modulus, dtype=np.int64), modulus), axis=1)


def _quotient(a: Residues, b: Residues, p: int) -> Residues:
    inverses = np.array([UNDEFINED] + [pow(d, -1, p) for d in range(1, p)], dtype=np.int64)
    return np.where(b == 0, UNDEFINED, a * inverses[b] % p)


def _composition(a: Residues, b: Residues, _: int) -> Residues:
    elements, digits = np.array(S5), 5 ** np.arange(5)[::-1]
    composed = np.take_along_axis(elements[a], elements[b], axis=1)
    return np.searchsorted(elements @ digits, composed @ digits)


_FORMULAS: dict[str, Callable[[Residues, Residues, int], Residues]] = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: a * b % p,
    "div": _quotient,
    "x2+y2": lambda a, b, p: (a * a + b * b) % p,
    "x2+xy+y2": lambda a, b, p: (a * a + a * b + b * b) % p,
    "x3+xy": lambda a, b, p: (a * a * a + a * b) % p,
    "s5": _composition,
}


def answers(task: Task) -> Residues:
    """The answer of every pair in canonical order, int64 (p*p,); UNDEFINED where b = 0 in `div`.

    Raises InvalidInput if the modulus does not suit the operation.
    """
    check_task(task)
    p = task.modulus
    if task.operation == "random":  # one table per seed, never redrawn
        return np.random.default_rng(task.operation_seed).integers(p, size=p * p)
    a, b = pairs(p).T
    return _FORMULAS[task.operation](a, b, p)


def split(task: Task, train_fraction: float, split_seed: int) -> Mask:
    """The train mask over all pairs in canonical order, bool (p*p,); undefined pairs are False.

    Raises InvalidInput unless both the train and the test part get at least one pair.
    """
    defined = np.flatnonzero(answers(task) != UNDEFINED)
    train_pairs = int(train_fraction * defined.size)
    if not 0 < train_pairs < defined.size:
        raise InvalidInput(
            "train_fraction",
            f"must leave pairs in both parts, {train_fraction} puts {train_pairs} "
            f"of {defined.size} pairs into the train part",
        )
    drawn = np.random.default_rng(split_seed).permutation(defined.size)[:train_pairs]
    train_mask = np.zeros(task.modulus**2, dtype=np.bool_)
    train_mask[defined[drawn]] = True
    return train_mask


def split_sha256(train_mask: Mask) -> str:
    """The digest of a split: SHA-256 of p*p bytes, 0 or 1, in canonical order."""
    return hashlib.sha256(train_mask.astype(np.uint8).tobytes()).hexdigest()
