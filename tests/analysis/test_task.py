"""The task: canonical pairs, answers against their definition, and splits that never drift."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Task, answers, check_task, pairs, split, split_sha256

DEFINITIONS: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, p: (a + b) % p,
    "sub": lambda a, b, p: (a - b) % p,
    "mul": lambda a, b, p: (a * b) % p,
    "div": lambda a, b, p: next((c for c in range(p) if b and c * b % p == a), UNDEFINED),
    "x2+y2": lambda a, b, p: (a**2 + b**2) % p,
    "x2+xy+y2": lambda a, b, p: (a**2 + a * b + b**2) % p,
    "x3+xy": lambda a, b, p: (a**3 + a * b) % p,
}


@pytest.mark.parametrize(
    ("operation", "modulus"),
    [
        *itertools.product(DEFINITIONS, [3, 5, 13]),
        *itertools.product(["add", "sub"], [6, 8, 9, 15, 118]),
    ],
)
def test_answers_equal_the_definition(operation: str, modulus: int) -> None:
    """Row a*p + b holds op(a, b), computed here one pair at a time on Python integers."""
    task = Task(operation=operation, modulus=modulus)  # type: ignore[arg-type]
    define = DEFINITIONS[operation]
    expected = [define(a, b, modulus) for a in range(modulus) for b in range(modulus)]
    assert answers(task).tolist() == expected


def test_s5_composes_permutations() -> None:
    """The answer is the lexicographic index of i -> a(b(i)), one pair at a time."""
    elements = sorted(itertools.permutations(range(5)))
    expected = [
        elements.index(tuple(a[b[i]] for i in range(5))) for a in elements for b in elements
    ]
    assert answers(Task(operation="s5", modulus=120)).tolist() == expected


def test_s5_is_a_group() -> None:
    """Element 0 is the identity, every row and column holds each element once, (ab)c = a(bc)."""
    table = answers(Task(operation="s5", modulus=120)).reshape(120, 120)
    assert table[0].tolist() == table[:, 0].tolist() == list(range(120))
    for square in (table, table.T):
        assert (np.sort(square, axis=1) == np.arange(120)).all()
    assert (table[table] == table[:, table]).all()  # [a, b, c]


@pytest.mark.parametrize(
    ("operation", "modulus", "message"),
    [
        ("s5", 113, "modulus: s5 has 120 elements: set modulus = 120"),
        ("s5", 0, "modulus: s5 has 120 elements: set modulus = 120"),
        ("s5", 60, "modulus: s5 has 120 elements: set modulus = 120"),
    ],
)
def test_s5_has_its_120_elements(operation: str, modulus: int, message: str) -> None:
    """Composition has so many elements and no other number of them."""
    with pytest.raises(InvalidInput) as caught:
        answers(Task(operation=operation, modulus=modulus))  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_pairs_are_canonical() -> None:
    """Row a*p + b of the pairs is (a, b)."""
    assert pairs(3).tolist() == [[a, b] for a in range(3) for b in range(3)]


def test_random_table_is_one_table_per_seed() -> None:
    """The random operation's answers are residues, fixed by the seed, never redrawn."""
    first = answers(Task(operation="random", modulus=11, operation_seed=3))
    again = answers(Task(operation="random", modulus=11, operation_seed=3))
    other = answers(Task(operation="random", modulus=11, operation_seed=4))
    assert first.tolist() == again.tolist() != other.tolist()
    assert first[:6].tolist() == [8, 0, 1, 2, 1, 8]  # published tables stand on this stream


@pytest.mark.parametrize(
    ("modulus", "fraction", "digest"),
    [
        (59, 0.3, "61aa9967a27742f2"),
        (113, 0.3, "ed7e27c0278b5205"),
        (120, 0.5, "24fd678204ea63fa"),
    ],
)
def test_splits_never_drift(modulus: int, fraction: float, digest: str) -> None:
    """The digest of a split is the one published for it, whatever numpy's version."""
    task = Task(operation="s5" if modulus == 120 else "add", modulus=modulus)
    mask = split(task, fraction, split_seed=0)
    assert mask.sum() == int(fraction * modulus**2)
    assert split_sha256(mask).startswith(digest)


def test_division_splits_its_defined_pairs() -> None:
    """`div` draws floor(fraction * p(p-1)) pairs, none of them with b = 0."""
    mask = split(Task(operation="div", modulus=7), 0.5, split_seed=1)
    assert mask.sum() == int(0.5 * 42)
    assert not mask[pairs(7)[:, 1] == 0].any()


@pytest.mark.parametrize("operation", [*DEFINITIONS, "random"])
@pytest.mark.parametrize("modulus", [-3, 0, 1, 2, 4, 8, 9, 15, 100, 118, 91, 510, 1_000_003])
def test_a_modulus_that_does_not_suit_is_named(operation: str, modulus: int) -> None:
    """Tiny and huge ones never do; from 5 on addition takes any, the others an odd prime."""
    task = Task(operation=operation, modulus=modulus)  # type: ignore[arg-type]
    if operation in ("add", "sub") and 5 <= modulus <= 509:
        return check_task(task)
    words = "odd prime, got" if modulus <= 509 else "at most 509, got"
    with pytest.raises(InvalidInput, match=f"{words} {modulus}"):
        check_task(task)
    return None


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.001])
def test_both_parts_of_a_split_have_pairs(fraction: float) -> None:
    """A fraction that leaves the train or the test part empty is refused by name."""
    with pytest.raises(InvalidInput, match="train_fraction"):
        split(Task(modulus=7), fraction, split_seed=0)
