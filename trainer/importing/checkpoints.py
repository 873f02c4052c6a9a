"""The checkpoints of files, read and compared with their layout. Nothing of torch is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from grokprobe.errors import InvalidInput
from grokprobe.task import Mask, Residues, Task, answers
from trainer.importing.elements import elements_record
from trainer.importing.files import Contents, StateTree, read_contents
from trainer.importing.layout import Layout
from trainer.importing.mapping import ForeignNetwork, read_network
from trainer.importing.steps_and_split import check_count, steps_of, train_mask


@dataclass(frozen=True)
class Found:
    """One checkpoint of a file, its tensors unread, and the split that the file tells."""

    where: str
    step: int
    state: StateTree
    facts: dict[str, Any]  # that all checkpoints of a run share
    train: Mask | None

    def read(self, layout: Layout) -> ForeignNetwork:
        """Its network. Raises InvalidInput."""
        return read_network(self.where, self.state, layout)


@dataclass(frozen=True)
class FoundRun:
    """The checkpoints of all files, in the order of their steps."""

    layout: Layout
    files: list[str]  # the digests, in the order of the command line
    checkpoints: list[Found]
    numbers: Residues  # of our elements in the files, (p,)

    @property
    def config(self) -> dict[str, Any]:
        """What `run.json` carries of it: the same, in whichever order the files were named.

        Without the patterns of what was ignored, which made no difference to what was read.
        """
        layout = msgspec.to_builtins(self.layout)
        del layout["file"]["ignore"]
        numbers = self.layout.step.numbers
        if numbers is not None and len(numbers) == 1:  # --steps 5 is --step 5
            layout["step"] |= {"number": numbers[0], "numbers": None}
        if numbers is not None and len(self.files) > 1:
            layout["step"]["numbers"] = [
                n for _, n in sorted(zip(self.files, numbers, strict=True))
            ]
        return {"layout": layout, "files": sorted(self.files), **elements_record(self.numbers)}


def find_run(paths: Sequence[Path], layout: Layout, limit: int) -> FoundRun:
    """The checkpoints of some files. Raises InvalidInput for whatever is wrong with one of them."""
    for path in paths:
        if not path.exists():
            raise InvalidInput(str(path), "cannot be read: No such file or directory")
    layouts = _layouts(paths, layout)
    files = [read_contents(path, limit) for path in paths]
    both = zip(files, layouts, strict=True)
    found = [one for file, its in both for one in _checkpoints(file, its, limit)]
    found.sort(key=lambda one: one.step)
    _check_alike(found)
    numbers = layout.task.numbers(found[0].facts["modulus"])
    return FoundRun(layout, [file.sha256 for file in files], found, numbers)


def task_of(layout: Layout, network: ForeignNetwork) -> Task:
    """The task of a network that is read by a layout."""
    return Task(operation=layout.task.operation, modulus=network.modulus)


def _layouts(paths: Sequence[Path], layout: Layout) -> list[Layout]:
    """The layout of each file, whose step the command line may tell."""
    numbers = layout.step.numbers
    if numbers is None or len(paths) == 1:
        return [layout] * len(paths)
    check_count(numbers, paths)
    steps = [replace(layout.step, numbers=[number]) for number in numbers]
    return [replace(layout, step=step) for step in steps]


def _checkpoints(contents: Contents, layout: Layout, limit: int) -> Iterator[Found]:
    """The checkpoints of a file. Raises InvalidInput that names it and what is wrong with it."""
    besides = {layout.step.field, getattr(layout.split, "field", None)}
    states = contents.states(layout.file.state, besides)
    steps = steps_of(contents, layout.step, len(states))
    wheres = [f"{contents.where} step {n}" for n in steps]
    if len(states) == 1:
        wheres = [contents.where]
    first = read_network(wheres[0], states[0], layout)
    task = task_of(layout, first)
    try:
        answers(task)
    except InvalidInput as error:
        raise InvalidInput(contents.where, f"{error}, by {first.modulus_by}") from None
    train = train_mask(layout.split, task, contents, limit, layout.task.numbers(task.modulus))
    for where, step, state in zip(wheres, steps, states, strict=True):
        yield Found(where, step, state, read_network(where, state, layout).facts, train)


def _check_alike(found: Sequence[Found]) -> None:
    """Raise InvalidInput unless checkpoints, in order, are of one run at different steps."""
    for one, other in pairwise(found):
        between = f"{one.where} and {other.where}"
        if one.step == other.step:
            raise InvalidInput(between, f"both are step {one.step}")
        ours, theirs = one.facts, other.facts
        if differ := [f"{n} is {ours[n]} and {theirs[n]}" for n in ours if ours[n] != theirs[n]]:
            raise InvalidInput(between, f"are not of one run: {', '.join(differ)}")
        if not np.array_equal(np.asarray(one.train), np.asarray(other.train)):
            raise InvalidInput(between, "are not of one run: their splits differ")
