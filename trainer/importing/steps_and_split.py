"""What a file tells beside its weights, as its layout says: its steps and its split."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers, pairs
from trainer.config.schema import Step
from trainer.config.toml import MOST_LISTED
from trainer.importing.elements import of_pairs
from trainer.importing.files import Contents, read_contents, read_plain
from trainer.importing.layouts.splits import (
    IndicesSplit,
    MaskSplit,
    PairsSplit,
    PermutedSplit,
    ShuffleSplit,
    Split,
    StatedSplit,
    UnknownSplit,
)
from trainer.importing.layouts.steps import StepSection, step_section
from trainer.importing.plain_values import text_of


def steps_of(contents: Contents, section: StepSection, count: int) -> list[int]:
    """The step of each of the `count` checkpoints of a file. Raises InvalidInput."""
    found = _steps(contents, section)
    try:
        steps = msgspec.convert(found, list[Step])
    except msgspec.ValidationError:
        message = f"{text_of(found)} is no step, which is a whole number of ten digits at most"
        raise InvalidInput(contents.where, message) from None
    if len(steps) != count:
        message = f"its checkpoints are {count}, and the steps of them that were found {len(steps)}"
        raise InvalidInput(contents.where, message)
    return steps


def _steps(contents: Contents, section: StepSection) -> list[Any]:
    if section.field is not None:
        value = contents.value(section.field)
        return [_number(v) for v in (value if isinstance(value, list) else [value])]
    if section.pattern is None:
        return [section.number] if section.numbers is None else section.numbers
    return [step_in_name(section.pattern, contents.path)]


def step_in_name(pattern: str, path: Path) -> int:
    """The number that a pattern finds in a file's name. Raises InvalidInput if there is none."""
    match = re.search(pattern, path.name)
    if match is None or not re.fullmatch(r"[0-9]+", match[1] or ""):
        message = f"step.pattern {pattern!r} finds no number in this name"
        raise InvalidInput(str(path), message)
    return int(match[1])


def steps_of_files(steps: str, paths: Sequence[Path]) -> list[int]:
    """The step of each file by --steps: numbers with commas between them, or a pattern.

    Raises InvalidInput.
    """
    section = step_section(steps)
    if section.numbers is None:
        return [step_in_name(steps, path) for path in paths]
    check_count(section.numbers, paths)
    return section.numbers


def check_count(numbers: Sequence[int], paths: Sequence[Path]) -> None:
    """Raise InvalidInput unless --steps names one for each file."""
    if len(numbers) != len(paths):
        raise InvalidInput("--steps", f"names {len(numbers)} steps, and the files are {len(paths)}")


def _number(value: Any) -> Any:
    """A number that is written as text, as metadata of safetensors are; anything else as it is."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value) else value


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
        where, mask = "split", _drawn(split, known)
    else:
        where, value = _stated(split, contents, limit)
        mask = READERS[type(split)](value, task, where)
    for a, b in pairs(task.modulus)[mask & ~known]:
        raise InvalidInput(where, f"the train pair ({a}, {b}) has no answer by {task.operation}")
    if not mask.any():
        raise InvalidInput(where, "the split has no train pair")
    return of_pairs(mask, numbers)


def _drawn(split: ShuffleSplit, known: Mask) -> Mask:
    """Draw a split of the known pairs in lexicographic order.

    By random.seed(seed) and random.shuffle(pairs), or by torch.manual_seed(seed) and
    torch.randperm(number of pairs).
    """
    rows = np.flatnonzero(known)
    count = int(split.train_fraction * len(rows))
    if not isinstance(split, PermutedSplit):
        drawn = rows.tolist()
        random.Random(split.seed).shuffle(drawn)
        return _marking(drawn[:count], known.size)
    import torch  # here: what it takes to import is not paid before files and layout are right

    generator = torch.Generator().manual_seed(split.seed)
    permuted = rows[torch.randperm(len(rows), generator=generator).numpy()]
    first = split.first == "train"
    return _marking(permuted[:count] if first else permuted[len(rows) - count :], known.size)


def _marking(rows: Any, size: int) -> Mask:
    mask = np.zeros(size, dtype=np.bool_)
    mask[rows] = True
    return mask


def _stated(split: StatedSplit, contents: Contents, limit: int) -> tuple[str, NDArray[Any]]:
    """The place of a split that is stated, and the array that is there."""
    if split.file is not None:
        contents = _beside(Path(split.file), limit)
    field = split.field or ""
    where = f"{contents.where}: {field}" if field else contents.where
    if not field and isinstance(contents.table, Mapping):
        known = ", ".join(contents.names()[:MOST_LISTED])
        raise InvalidInput(where, f"holds fields, state one by split.field: {known}")
    try:
        return where, np.asarray(contents.value(field))
    except ValueError:  # rows of different lengths
        raise InvalidInput(where, "is no whole table") from None


def _beside(path: Path, limit: int) -> Contents:
    """What a file beside the checkpoint's own holds."""
    if path.suffix not in (".json", ".npy"):
        return read_contents(path, limit)
    return Contents(path, "", read_plain(path, limit))


def _mask(value: NDArray[Any], task: Task, where: str) -> Mask:
    p = task.modulus
    if value.dtype != np.bool_ or value.shape not in ((p * p,), (p, p)):
        message = f"must be bool ({p * p},) or ({p}, {p}), got {value.dtype} {value.shape}"
        raise InvalidInput(where, message)
    return value.reshape(-1)


def _mask_of_pairs(value: NDArray[Any], task: Task, where: str) -> Mask:
    p = task.modulus
    if value.ndim == 2 and value.shape[1] == 3 and (value[:, 2] == p).all():
        value = value[:, :2]  # the third is the token "="
    if value.dtype.kind not in "iu" or value.ndim != 2 or value.shape[1] != 2:
        message = f"must be a list of [a, b], got {value.dtype} {value.shape}"
        raise InvalidInput(where, message)
    for row in value[(value < 0).any(axis=1) | (value >= p).any(axis=1)]:
        raise InvalidInput(where, f"the pair {row.tolist()} is not within 0..{p - 1}")
    return _marking_each(value.astype(np.int64) @ np.array([p, 1]), task, where)


def _mask_of_indices(value: NDArray[Any], task: Task, where: str) -> Mask:
    count = task.modulus**2
    if value.dtype.kind not in "iu" or value.ndim != 1:
        message = f"must be a list of a*p + b, got {value.dtype} {value.shape}"
        raise InvalidInput(where, message)
    for index in value[(value < 0) | (value >= count)]:
        raise InvalidInput(where, f"the index {index} is not within 0..{count - 1}")
    return _marking_each(value.astype(np.int64), task, where)


def _marking_each(rows: NDArray[np.int64], task: Task, where: str) -> Mask:
    mask = _marking(rows, task.modulus**2)
    if mask.sum() < len(rows):
        raise InvalidInput(where, f"names {len(rows)} pairs, but only {mask.sum()} different ones")
    return mask


READERS: dict[type[StatedSplit], Callable[[NDArray[Any], Task, str], Mask]] = {
    MaskSplit: _mask,
    PairsSplit: _mask_of_pairs,
    IndicesSplit: _mask_of_indices,
}
