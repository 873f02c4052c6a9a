"""Whether an import answers by chance, as a wrong layout makes it, and which reading would not."""

import sys
from collections.abc import Iterator
from math import sqrt
from typing import get_args

import numpy as np

from grokprobe.analysis.outputs import PairOutputs
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Operation, Residues, Task, answers
from trainer.importing.elements import ORDERS, Composition, inverses, numbers_of, of_pairs
from trainer.learning.data import Grid

# Chance is exceeded by more than so many standard deviations of guessing, and more than so many
# times: elements in a wrong order agree more often than guesses do, because some stand right.
DEVIATIONS, TIMES = 4, 2

ADVICE = (
    "try another operation; of s5 another order or composition; of residues in an order of their "
    "own a file that lists them as the order; the axes of W_U or W_out the other way round; W_E "
    "and W_E_b, or W_in and W_in_b, exchanged; another slice of W_E; another model.tokens or "
    "model.activation. It may also have learned nothing yet"
)


def warn_at_chance(predicted: Residues, grid: Grid, numbers: Residues) -> None:
    """Print on stderr that the last checkpoint of an import answers by chance, if it does.

    `predicted` (p*p,) is what it answers, of all pairs in canonical order; `numbers` (p,) are those
    of our elements in the files.
    """
    if message := at_chance(predicted, grid, numbers):
        print(f"warning: {message}", file=sys.stderr)


def answers_of(outputs: PairOutputs) -> Residues:
    """What logits answer, (p*p,): the residue of the largest of each pair, the lowest of equals."""
    parts = [logits.argmax(axis=1) for [logits] in outputs.blocks(["logits"])]
    return np.concatenate(parts)


def at_chance(predicted: Residues, grid: Grid, numbers: Residues) -> str | None:
    """What is to be said of answers (p*p,) by chance, and which reading would be better."""
    accuracy, bound = _accuracy(predicted, grid.answers), _bound(grid.answers)
    readings = _readings(grid.task, numbers)
    found = {words: _accuracy(predicted, table) for words, table in readings}
    best = max(found, key=lambda words: found[words])
    better = found[best] > max(bound, TIMES * accuracy)
    if accuracy > bound and not better:
        return None
    said = f"the last checkpoint answers {accuracy:.4f} of all pairs, and chance is about "
    said += f"{_chance(grid.answers):.4f}: "
    return said + (f"by {best} it answers {found[best]:.4f}" if better else ADVICE)


def _accuracy(predicted: Residues, truth: Residues) -> float:
    known = truth != UNDEFINED
    return float(np.mean(predicted[known] == truth[known]))


def _chance(truth: Residues) -> float:
    """The share of the most frequent answer, which a network that knows nothing may always give."""
    known = truth[truth != UNDEFINED]
    return float(np.bincount(known).max() / known.size)


def _bound(truth: Residues) -> float:
    """The accuracy up to which nothing says that a network has learned this table."""
    chance, pairs = _chance(truth), int((truth != UNDEFINED).sum())
    return max(TIMES * chance, chance + DEVIATIONS * sqrt(chance * (1 - chance) / pairs))


def _readings(task: Task, numbers: Residues) -> Iterator[tuple[str, Residues]]:
    """How a layout may read the files, and the answers that they would then hold, as read now."""
    if task.operation == "s5":
        for words, meant in _orders(numbers):
            in_files = meant[of_pairs(answers(task), np.argsort(meant))]
            yield words, np.argsort(numbers)[of_pairs(in_files, numbers)]
        return
    every = np.arange(task.modulus**2).reshape(task.modulus, task.modulus)
    for operation in get_args(Operation):
        try:
            table = answers(Task(operation=operation, modulus=task.modulus))
        except InvalidInput:  # one that has no such modulus
            continue
        if operation != "random":
            yield f"operation={operation}", table
            yield f"operation={operation}, a and b exchanged,", table[every.T.reshape(-1)]


def _orders(numbers: Residues) -> Iterator[tuple[str, Residues]]:
    """How the elements of s5 may be numbered, and those numbers."""
    for order in ORDERS:
        for composition in get_args(Composition):
            words = f"order={order} and composition={composition}"
            yield words, numbers_of("s5", len(numbers), order, composition)
    yield "the other composition", numbers[inverses()]
