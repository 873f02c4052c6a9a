"""The learning order of a run, from what its checkpoints answer: read once, in steps' order."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.pairs.learning import LearningOrder, bracket
from grokprobe.analysis.pairs.mirrors import MirrorCounts, Mirrors, mirror
from grokprobe.analysis.pairs.sums import PairSum, sum_pairs
from grokprobe.cached import cached_property
from grokprobe.store.archive.predictions import Predicted
from grokprobe.task import UNDEFINED, Mask, pairs
from service.context import Context
from service.formats.registry import Format
from service.formats.tables import AnyArray, Block, Blocks
from service.inference.checkpoints import PairTable
from service.runs.view import RunView, checkpoint_identity
from service.v1.probing import open_probe
from service.v1.run.predicted import CHUNK_BYTES, in_chunks

BLOCK = 2_048  # pairs that are written at a time: more would keep everybody else waiting
PAIR_BYTES = 200  # of all that is held for a pair, at most


class Kept(msgspec.Struct):
    """What is kept of a learning order: the bytes of its arrays, and the mirrors of each step."""

    learnt: bytes  # int32 (p*p,)
    lost: bytes  # int32 (p*p,)
    mirrored: list[MirrorCounts]


@dataclass(frozen=True)
class Learnt:
    """What was learnt when, over the checkpoints of these steps."""

    pairs: PairTable
    steps: list[int]
    kept: Kept
    margins: NDArray[np.float32]  # (p*p,) at the last of them; NaN without any, or an answer

    @cached_property
    def learnt(self) -> NDArray[np.int32]:
        """The number of a checkpoint, or NEVER, (p*p,)."""
        return np.frombuffer(self.kept.learnt, np.int32)

    @cached_property
    def lost(self) -> NDArray[np.int32]:
        """How often it was lost, (p*p,)."""
        return np.frombuffer(self.kept.lost, np.int32)

    @cached_property
    def mirrors(self) -> Mirrors | None:
        """The test pairs and their mirrors; None where the split is unknown."""
        return mirrors_of(self.pairs)

    @cached_property
    def known(self) -> Mask:
        """The pairs that have an answer, (p*p,)."""
        known: Mask = self.pairs.answers != UNDEFINED
        return known

    @cached_property
    def mirror_in_train(self) -> NDArray[np.int64]:
        """1 where the mirror of a pair is a train pair, 0 where not, -1 where that is unknown."""
        train = self.pairs.train_mask
        found = -1 if train is None else mirror(train)
        return np.where(self.known, found, -1)

    def step(self, number: int) -> int | None:
        """The step of the checkpoint of a number; None for one below 0."""
        return self.steps[number] if number >= 0 else None

    def sums(self, by: str) -> Iterator[tuple[str | None, PairSum]]:
        """Sums by answer, difference or mirror, each with its part of the split."""
        train, p = self.pairs.train_mask, self.pairs.task.modulus
        a, b = pairs(p).T
        groups = {
            "answer": self.pairs.answers,
            # The numbers of permutations have no difference.
            "difference": np.full(p * p, -1) if self.pairs.task.operation == "s5" else (a - b) % p,
            "mirror": self.mirror_in_train,
        }[by]
        parts = {"train": train, "test": ~train} if train is not None else {None: self.known}
        for name, part in parts.items():
            for one in sum_pairs(groups, part & self.known, self.learnt, self.lost, self.margins):
                yield name, one

    def blocks(self, chosen: Format) -> Blocks:
        """Every pair in canonical order, as a format takes them."""
        block = self._numbers if chosen.of_array else self._columns

        async def of(first: int) -> AsyncIterator[Block]:
            for start in range(first * BLOCK, len(self.known), BLOCK):
                yield block(slice(start, min(start + BLOCK, len(self.known))))

        return Blocks(len(self.known), BLOCK, of)

    def _columns(self, rows: slice) -> Mapping[str, AnyArray]:
        """The columns of PairRow for some pairs."""
        a, b = np.divmod(np.arange(rows.start, rows.stop), self.pairs.task.modulus)
        step, previous = bracket(self.steps, self.learnt[rows])
        unknown, mirrored = ~self.known[rows], self.mirror_in_train[rows]
        margins = self.margins[rows].astype(np.float64)
        return {
            "a": a,
            "b": b,
            "answer": np.ma.masked_array(self.pairs.answers[rows], unknown),
            "split": np.ma.masked_array(self.pairs.parts[rows], unknown),
            "mirror_in_train": np.ma.masked_array(mirrored == 1, mirrored < 0),
            "step": step,
            "previous_step": previous,
            "lost": np.ma.masked_array(self.lost[rows].astype(np.int64), unknown),
            "margin": np.ma.masked_array(margins, np.isnan(margins)),
        }

    def _numbers(self, rows: slice) -> NDArray[np.float64]:
        """The figures of some pairs (n, 4); NaN where there is none."""
        columns = self._columns(rows)
        names = ("step", "previous_step", "lost", "margin")
        floats = [columns[name].astype(np.float64) for name in names]
        return np.stack([np.ma.filled(column, np.nan) for column in floats], axis=1)


def mirrors_of(pairs: PairTable) -> Mirrors | None:
    """The test pairs of a split and their mirrors; None where it is unknown."""
    train = pairs.train_mask
    return None if train is None else Mirrors((pairs.answers != UNDEFINED) & ~train, train)


async def learn(context: Context, view: RunView, steps: list[int]) -> Learnt:
    """The learning order over the checkpoints of these steps; raises as `predicted` does."""
    pairs = await context.checkpoints.table(view)
    margins = np.full(len(pairs.answers), np.nan, np.float32)
    if steps:
        margins = await _margins(context, view, steps[-1])
    what = f"learning:{steps[:1]}:{steps[-1:]}"
    compute = partial(_learn, context, view, steps, pairs)
    return Learnt(
        pairs, steps, await context.derived.get(view.digest, what, Kept, compute), margins
    )


async def _learn(context: Context, view: RunView, steps: list[int], pairs: PairTable) -> Kept:
    count, counts = len(pairs.answers), list[MirrorCounts]()
    order, mirrors = LearningOrder(pairs.answers), mirrors_of(pairs)

    def take(chunk: Sequence[Predicted]) -> None:
        for one in chunk:
            right = order.take(one)
            if mirrors:
                counts.append(mirrors.count(right))

    need = PAIR_BYTES * count + 2 * CHUNK_BYTES
    async with context.inference.memory.reserve(need, "the learning order of all pairs"):
        size = max(1, CHUNK_BYTES // (2 * count))
        async for chunk in in_chunks(context, view, steps, size):
            await context.inference.apart(partial(take, chunk))
    return Kept(order.learnt.tobytes(), order.lost.tobytes(), counts)


async def _margins(context: Context, view: RunView, step: int) -> NDArray[np.float32]:
    """The margin of every pair at a checkpoint (p*p,), kept while there is room."""

    async def compute() -> bytes:
        checkpoint = await context.checkpoints.get(view, step)
        async with open_probe(context, checkpoint, ("answers",)) as analyse:
            found = await analyse(lambda probe: probe.pair_answers.margins)
        return bytes(found.tobytes())

    identity = checkpoint_identity(view.identity, view.checkpoints[step])
    return np.frombuffer(await context.derived.get(identity, "margins", bytes, compute), "f4")
