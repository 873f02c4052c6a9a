"""How others number the elements of a task, and from which side their permutations act.

A run is published in our order (grokprobe/task.py). Its residue r is the element S5[r] of s5, and
r itself of any other operation; permutations act from the left, (a b)(i) = a(b(i)). Those that act
from the right, (a b)(i) = b(a(i)), become ours when each is inverted, because inverting turns
products round: then residue r is their inverse of S5[r], and nothing else of a network changes.
"""

from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from grokprobe.task import S5, Operation, Residues
from trainer.config.toml import unknown
from trainer.importing.files import read_table

Composition = Literal["left", "right"]
Word = tuple[int, ...]  # a permutation of 0..4 in one-line notation

RANK = {word: rank for rank, word in enumerate(S5)}
TABLES = (".json", ".npy")
MOST_BYTES = 1 << 20  # of a list of elements, which are 509 numbers or 600 digits


def _parity(word: Word) -> int:
    return sum(word[i] > word[j] for j in range(5) for i in range(j)) % 2


def _composed(a: Word, b: Word) -> Word:
    return tuple(a[i] for i in b)


def _sympy() -> list[Word]:
    """The order of sympy's SymmetricGroup(5): of `elements`, `generate()` and `coset_unrank`.

    Its element is a product of one representative of each chain of stabilisers, in sympy's own
    order of them; the innermost one varies slowest.
    """
    chain = ["01234 12340 23401 34012 41230", "01234 02143 03412 04123", "01423 01234 01243"]
    levels = [[tuple(map(int, text)) for text in row.split()] for row in [*chain, "01234 01432"]]
    return [
        _composed(a, _composed(b, _composed(c, d))) for d, c, b, a in product(*reversed(levels))
    ]


ORDERS: dict[str, list[Word]] = {
    "lexicographic": list(S5),
    "even-first": sorted(S5, key=lambda word: (_parity(word), word)),
    "sympy": _sympy(),
}


def check_elements(operation: Operation, order: str, composition: Composition) -> None:
    """Raise InvalidInput, with the field of [task], for what does not go with the operation."""
    if order not in ORDERS and Path(order).suffix not in TABLES:
        message = f"{unknown(order, ORDERS, 'known order')}; or a .json or .npy file that lists it"
        raise InvalidInput("task.order", message)
    if operation == "s5":
        return
    if order in ORDERS and order != "lexicographic":
        message = f"{order} is one of permutations; of {operation} list the residues in a file"
        raise InvalidInput("task.order", message)
    if composition != "left":
        raise InvalidInput("task.composition", f"is of s5; {operation} composes no permutations")


@lru_cache(maxsize=16)  # asked for each checkpoint: a file that lists them is read once
def numbers_of(
    operation: Operation, modulus: int, order: str, composition: Composition
) -> Residues:
    """The number in the files of each of our elements, int64 (p,).

    Raises InvalidInput if a file that lists them does not hold each element once.
    """
    if operation == "s5" and modulus != len(S5):
        return np.arange(modulus)  # which whoever makes the task refuses in better words
    words = ORDERS.get(order)
    if operation != "s5" and words is not None:
        return np.arange(modulus)
    ranks = _listed(order, modulus) if words is None else [RANK[word] for word in words]
    numbers = np.argsort(ranks)
    return numbers[inverses()] if composition == "right" else numbers


def inverses() -> Residues:
    """The rank of the inverse of each permutation of S5, int64 (120,)."""
    return np.array([RANK[tuple(np.argsort(word).tolist())] for word in S5])


def _listed(file: str, modulus: int) -> Residues:
    """Our rank of each element that a file lists: permutations, or our ranks themselves."""
    table = read_table(file, MOST_BYTES)
    if table.dtype.kind not in "iu" or table.shape not in ((modulus,), (len(S5), 5)):
        message = f"must list {modulus} residues or 120 permutations of 5"
        raise InvalidInput(file, f"{message}, got {table.dtype} {table.shape}")
    ranks = _ranks(table, file) if table.ndim == 2 else table.astype(np.int64)
    if (np.sort(ranks) != np.arange(modulus)).any():
        absent = sorted(set(range(modulus)) - set(ranks.tolist()))
        named = "" if not absent else f"; {absent[0]} is missing"
        raise InvalidInput(file, f"must list each of {modulus} elements once{named}")
    return ranks


def _ranks(table: NDArray[Any], file: str) -> Residues:
    first = int(table.min())  # some count from 1
    words = [tuple(row) for row in (table.astype(np.int64) - first).tolist()]
    for word, row in zip(words, table.tolist(), strict=True):
        if first not in (0, 1) or word not in RANK:
            raise InvalidInput(file, f"{row} is no permutation of 0..4, nor of 1..5")
    return np.array([RANK[word] for word in words])


def in_our_order(weight: NDArray[Any], axes: str, numbers: Residues) -> NDArray[Any]:
    """A parameter with its axes `p` and `vocabulary` in our order; the row of "=" stays last."""
    for position, axis in enumerate(axes.split()):
        if axis in ("p", "vocabulary"):
            rest = np.arange(len(numbers), weight.shape[position])
            weight = np.take(weight, np.concatenate([numbers, rest]), axis=position)
    return weight


def of_pairs(values: NDArray[Any], numbers: Residues) -> NDArray[Any]:
    """Values of all pairs (p*p,), those of (numbers[a], numbers[b]) at (a, b)."""
    p = len(numbers)
    return values.reshape(p, p)[np.ix_(numbers, numbers)].reshape(-1)


def elements_record(numbers: Residues) -> dict[str, list[int]]:
    """The numbers of our elements in the files, which `run.json` holds where they are not ours."""
    ours = (numbers == np.arange(len(numbers))).all()
    return {} if ours else {"elements": numbers.tolist()}
