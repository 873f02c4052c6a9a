"""What there is to compare of two checkpoints that are loaded, computed once for all who ask."""

from dataclasses import dataclass, field
from typing import Literal, TypeVar

import msgspec

from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.comparing.answers import PartComparison
from grokprobe.analysis.comparing.planes import (
    KeyComparison,
    PlaneOverlap,
    compare_keys,
    plane_overlap,
)
from grokprobe.analysis.comparing.reading import BothRead, both_bytes, read_both
from grokprobe.analysis.comparing.representations import Similarity, similarity
from grokprobe.analysis.comparing.weights import (
    AllWeights,
    WeightComparison,
    compare_weights,
    same_weights,
)
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.outputs import Outputs
from grokprobe.cached import cached_property
from grokprobe.errors import CheckpointCorrupt
from grokprobe.weights import Weights
from service.context import Context
from service.http.target import Opened
from service.inference.checkpoints import Checkpoint
from service.inference.engine import Inference
from service.inference.sweep import AHEAD, PART_PAIRS
from service.v1.probing import weights_of

Identical = Literal["bytes", "weights"]

T = TypeVar("T")

CONSTANT = "one of the two does not vary, or is not finite"
POWERLESS = "one of the two has no power at any frequency, or is not finite"
COPIES = 8  # of a file while weights are compared: as it came, parsed, arrays, two in float64


class Comparison(msgspec.Struct):
    """What is kept: all of it but which steps these are; `absent` says why a part is None."""

    identical: Identical | None
    parts: list[PartComparison]
    right_to_wrong: list[int]
    wrong_to_right: list[int]
    weights: list[WeightComparison] | None
    all_weights: AllWeights | None
    embedding: Similarity | None
    neurons: Similarity | None
    planes: PlaneOverlap | None
    keys: list[KeyComparison] | None
    absent: dict[str, str]


async def compare_opened(context: Context, a: Opened, b: Opened) -> Comparison:
    """Compare two checkpoints of one task.

    Raises CheckpointCorrupt, StoreUnavailable, NeverFits, MemoryBusy.
    """

    async def compute() -> Comparison:
        inference, both = context.inference, (a.checkpoint, b.checkpoint)
        names = [n for n in ("logits", "neurons") if all(n in one.shapes for one in both)]
        sweeps = [await inference.sweep(one, names) for one in both]
        async with inference.memory.reserve(_need(inference, both, names), "comparing checkpoints"):
            embeddings = [await _embedding(inference, one) for one in both]
            weights = await _weights(context, a, b)

            def work() -> Comparison:
                read = read_both(sweeps[0], sweeps[1], both[0].table.answers)
                return _Pair(*both, read, weights, embeddings[0], embeddings[1]).comparison

            return await inference.analyse(sweeps[0], work, sweeps[1])

    what = f"compare:{b.checkpoint.identity}"
    return await context.derived.get(a.checkpoint.identity, what, Comparison, compute)


def _need(inference: Inference, both: tuple[Checkpoint, Checkpoint], names: list[str]) -> int:
    """The memory that it takes, in bytes."""
    a, b = ({name: one.width(name) for name in names} for one in both)
    need = both_bytes(both[0].table.task.modulus, (a, b), PART_PAIRS, AHEAD)
    need += sum(inference.runs_bytes(one, AHEAD + 1) for one in both)
    return need + COPIES * sum(one.manifest.model.bytes for one in both)


async def _embedding(inference: Inference, checkpoint: Checkpoint) -> Outputs | None:
    there = "embedding" in checkpoint.shapes
    return await inference.matrix(checkpoint, "embedding") if there else None


async def _weights(context: Context, a: Opened, b: Opened) -> tuple[Weights, Weights] | str:
    """The parameters of both, or why they cannot be compared."""
    try:
        found = await weights_of(context, a.view, a.step), await weights_of(context, b.view, b.step)
    except CheckpointCorrupt as error:  # it runs, and yet has what is no array of numbers
        return str(error)
    return found


@dataclass(frozen=True)
class _Pair:
    """Two checkpoints of one task, and what was read of them."""

    a: Checkpoint
    b: Checkpoint
    read: BothRead
    weights: tuple[Weights, Weights] | str
    embedding_a: Outputs | None
    embedding_b: Outputs | None
    absent: dict[str, str] = field(default_factory=dict)

    @cached_property
    def basis(self) -> Basis:
        return basis_of(self.a.table.task)

    @property
    def comparison(self) -> Comparison:
        """All of it."""
        answers, known = self.read.answers, not isinstance(self.weights, str)
        weights, every = compare_weights(*self.weights) if known else (None, None)
        if not known:
            self.absent["weights"] = self.absent["all_weights"] = str(self.weights)
        return Comparison(
            identical=self._identical(),
            parts=answers.parts(self.a.table.train_mask, self.b.table.train_mask),
            right_to_wrong=answers.right_to_wrong.tolist(),
            wrong_to_right=answers.wrong_to_right.tolist(),
            weights=weights,
            all_weights=every,
            embedding=self._embedding(),
            neurons=self._neurons(),
            planes=self._planes(),
            keys=self._keys(),
            absent=self.absent,
        )

    def _identical(self) -> Identical | None:
        if self.a.manifest.model.sha256 == self.b.manifest.model.sha256:
            return "bytes"
        if isinstance(self.weights, str) or not same_weights(*self.weights):
            return None
        return "weights"

    def _lacking(self, output: str) -> str | None:
        """Who lacks an output of the model; None if both have it."""
        lack = [name for name, one in (("a", self.a), ("b", self.b)) if output not in one.shapes]
        if not lack:
            return None
        whose = "neither model has an" if len(lack) == 2 else f"the model of {lack[0]} has no"
        return f"{whose} output {output!r}"

    def _or_absent(self, name: str, found: T | None, reason: str) -> T | None:
        """What was found; where nothing was, the reason is kept."""
        if found is None:
            self.absent[name] = reason
        return found

    def _embedding(self) -> Similarity | None:
        a, b = self.embedding_a, self.embedding_b
        found = None if a is None or b is None else similarity(a, b)
        return self._or_absent("embedding", found, self._lacking("embedding") or CONSTANT)

    def _neurons(self) -> Similarity | None:
        return self._or_absent("neurons", self.read.neurons, self._lacking("neurons") or CONSTANT)

    def _rows(self) -> tuple[Array, Array] | str:
        """The embeddings in the order of the group, or why they have no frequencies to compare."""
        a, b = self.embedding_a, self.embedding_b
        if not self.basis.cyclic:
            return f"{self.basis.group} has no frequencies"
        if a is None or b is None:
            return self._lacking("embedding") or ""
        return self.basis.rows(a), self.basis.rows(b)

    def _planes(self) -> PlaneOverlap | None:
        rows = self._rows()
        if isinstance(rows, str):
            return self._or_absent("planes", None, rows)
        widths = [one.shape[1] for one in rows]
        reason = f"the embeddings are {widths[0]} and {widths[1]} wide"
        return self._or_absent(
            "planes", plane_overlap(*rows), POWERLESS if widths[0] == widths[1] else reason
        )

    def _keys(self) -> list[KeyComparison] | None:
        sets = [one.manifest.own_keys for one in (self.a, self.b)]
        if self.basis.direction is None:
            return self._or_absent("keys", None, "the operation has no rule for key frequencies")
        if None in sets:
            without = " and ".join(n for n, one in zip("ab", sets, strict=True) if one is None)
            return self._or_absent("keys", None, f"no key frequencies are stored with {without}")
        rows = self._rows()
        # Without embeddings the sets alone: `planes` says why.
        embeddings = (None, None) if isinstance(rows, str) else rows
        found = [one.frequencies for one in sets if one]
        return compare_keys(*embeddings, *found)
