"""What a file tells beside its weights, as its layout says: its steps and its split."""

import random
import re
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers, pairs
from trainer.config.schema import Step
from trainer.importing.elements import of_pairs
from trainer.importing.files import Contents, read_table
from trainer.importing.layout import (
    MaskSplit,
    PairsSplit,
    ShuffleSplit,
    Split,
    StepSection,
    UnknownSplit,
)


def steps_of(contents: Contents, section: StepSection, count: int) -> list[int]:
    """The step of each of the `count` checkpoints of a file. Raises InvalidInput."""
    found = _steps(contents, section)
    try:
        steps = msgspec.convert(found, list[Step])
    except msgspec.ValidationError:
        message = f"{found!r:.60} is no step, which is a whole number of ten digits at most"
        raise InvalidInput(contents.where, message) from None
    if len(steps) != count:
        message = f"its checkpoints are {count}, and the steps of them that were found {len(steps)}"
        raise InvalidInput(contents.where, message)
    return steps


def _steps(contents: Contents, section: StepSection) -> list[Any]:
    if section.field is not None:
        value = contents.value(section.field)
        return value if isinstance(value, list) else [value]
    if section.pattern is None:
        return [section.number]
    match = re.search(section.pattern, contents.path.name)
    if match is None or not re.fullmatch(r"[0-9]+", match[1] or ""):
        message = f"step.pattern {section.pattern!r} finds no number in this name"
        raise InvalidInput(contents.where, message)
    return [int(match[1])]


def train_mask(
    split: Split, task: Task, contents: Contents, limit: int, numbers: Residues
) -> Mask | None:
    """The train pairs, bool (p*p,); None where they are unknown.

    `contents` are of the checkpoint's own file; one beside it has at most `limit` bytes. They speak
    of elements by the `numbers` (p,) that ours have there. Raises InvalidInput if what is there is
    no split of this task.
    """
    if isinstance(split, UnknownSplit):
        return None
    known = of_pairs(answers(task) != UNDEFINED, np.argsort(numbers))
    if isinstance(split, ShuffleSplit):
        where, mask = "split", _shuffled(split, known)
    else:
        where, value = _stated(split, contents, limit)
        read = _mask if isinstance(split, MaskSplit) else _mask_of_pairs
        mask = read(value, task, where)
    for a, b in pairs(task.modulus)[mask & ~known]:
        raise InvalidInput(where, f"the train pair ({a}, {b}) has no answer by {task.operation}")
    if not mask.any():
        raise InvalidInput(where, "the split has no train pair")
    return of_pairs(mask, numbers)


def _shuffled(split: ShuffleSplit, known: Mask) -> Mask:
    """Draw a split by random.seed(seed) and random.shuffle(pairs in lexicographic order)."""
    rows = np.flatnonzero(known).tolist()
    random.Random(split.seed).shuffle(rows)
    return _marking(rows[: int(split.train_fraction * len(rows))], known.size)


def _marking(rows: Any, size: int) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    mask[rows] = True
    return mask


def _stated(
    split: MaskSplit | PairsSplit, contents: Contents, limit: int
) -> tuple[str, NDArray[Any]]:
    """The place of a split that is stated, and the array that is there."""
    if split.file is not None:
        return split.file, read_table(split.file, limit)
    where = f"{contents.where}: {split.field}"
    try:
        return where, np.asarray(contents.value(split.field or ""))
    except ValueError:
        raise InvalidInput(where, "is no whole table") from None


def _mask(value: NDArray[Any], task: Task, where: str) -> Mask:
    p = task.modulus
    if value.dtype != np.bool_ or value.shape not in ((p * p,), (p, p)):
        message = f"must be bool ({p * p},) or ({p}, {p}), got {value.dtype} {value.shape}"
        raise InvalidInput(where, message)
    return value.reshape(-1)


def _mask_of_pairs(value: NDArray[Any], task: Task, where: str) -> Mask:
    p = task.modulus
    if value.dtype.kind not in "iu" or value.ndim != 2 or value.shape[1] != 2:
        message = f"must be a list of [a, b], got {value.dtype} {value.shape}"
        raise InvalidInput(where, message)
    for row in value[(value < 0).any(axis=1) | (value >= p).any(axis=1)]:
        raise InvalidInput(where, f"the pair {row.tolist()} is not within 0..{p - 1}")
    mask = _marking(value.astype(np.int64) @ [p, 1], p * p)
    if mask.sum() < len(value):
        raise InvalidInput(where, f"names {len(value)} pairs, but only {mask.sum()} different ones")
    return mask
