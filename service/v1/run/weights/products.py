"""The products of all updates of a run, (updates, updates): two blocks of weights at a time.

The products of two blocks are kept, so that what takes longer than a request may goes on from there
when asked again, and a run that goes on costs what its last block costs.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis.comparing.weights import weight_norm
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.series.path import update_products
from grokprobe.errors import InvalidInput
from grokprobe.store.archive.objects import gather
from grokprobe.store.records import CheckpointManifest, sha256
from service.context import Context
from service.formats.npy import npy_array, npy_bytes
from service.http.preconditions import SettledRequest
from service.runs.view import RunView, checkpoint_identity
from service.v1.probing import weights_of
from service.v1.run.progress import unfinished_after
from service.v1.run.weights.stored import AT_ONCE, COPIES, largest_file

ROOM = 2**28  # of two blocks
MOST = 512  # updates in a block
WIDER = 4  # at most is a vector, of one type, than its file, whose weights may be of several
SQUARES = 8  # (checkpoints, checkpoints) at the same time, in float64

Layout = dict[str, str]  # shape and type of each weight, by its name


@dataclass(frozen=True)
class Block:
    """Updates `rows` of a run, and the checkpoints that they are of: one more."""

    rows: slice
    checkpoints: Sequence[CheckpointManifest]

    def identity(self, view: RunView) -> str:
        """What its files are known by."""
        every = (checkpoint_identity(view.identity, one) for one in self.checkpoints)
        return sha256(" ".join(every).encode())


class UpdateProducts:
    """d_s . d_t of all updates between some checkpoints of a run."""

    def __init__(
        self, context: Context, view: RunView, checkpoints: Sequence[CheckpointManifest]
    ) -> None:
        self._context, self._view, self._checkpoints = context, view, checkpoints
        self._room = min(ROOM, context.settings.request_memory_bytes // 4)
        self._layout: tuple[int, Layout] | None = None

    @property
    def need(self) -> int:
        """The memory of all products and of the components afterwards."""
        return SQUARES * 8 * len(self._checkpoints) ** 2

    @property
    def _block_need(self) -> int:
        largest = largest_file(self._view)
        blocks = min(self._room, 2 * WIDER * len(self._checkpoints) * largest)
        return blocks + COPIES * AT_ONCE * largest

    async def all(self, request: SettledRequest) -> Array:
        """(n - 1, n - 1) of n checkpoints.

        Raises InvalidInput, Unfinished, CheckpointCorrupt, StoreUnavailable.
        """
        n = max(0, len(self._checkpoints) - 1)
        found = np.zeros((n, n))
        async with unfinished_after(request, n, "compared with those before them") as count:
            for number, later in enumerate(blocks := await self._blocks(n)):
                held = _Held(self, later)
                for earlier in reversed(blocks[: number + 1]):
                    products = await self._of(held, earlier)
                    found[later.rows, earlier.rows] = products
                    found[earlier.rows, later.rows] = products.T
                for _ in later.checkpoints[1:]:
                    count()
        return found

    async def _blocks(self, updates: int) -> list[Block]:
        """In each as many updates as there is room for, whatever the run gains later."""
        if not updates:
            return []
        size = max(1, min(MOST, self._room // (2 * await self._vector_bytes()) - 1))
        rows = [slice(at, min(at + size, updates)) for at in range(0, updates, size)]
        return [Block(one, self._checkpoints[one.start : one.stop + 1]) for one in rows]

    async def _vector_bytes(self) -> int:
        first = self._checkpoints[0]

        async def compute() -> int:
            return max(1, (await self._vector(first)).nbytes)

        identity = checkpoint_identity(self._view.identity, first)
        found: int = await self._context.derived.get(identity, "vector-bytes", int, compute)
        return found

    async def _of(self, later: "_Held", earlier: Block) -> Array:
        async def compute() -> bytes:
            # Reserved here: it goes on where who asked for it has gone away.
            inference = self._context.inference
            async with inference.memory.reserve(self._block_need, "two blocks of weights"):
                a = await later.vectors()
                b = a if earlier is later.block else await self.read(earlier)
                return npy_bytes(await inference.aside(lambda: update_products(a, b)))

        what = f"update-products:{earlier.identity(self._view)}"
        identity = later.block.identity(self._view)
        return npy_array(await self._context.derived.get(identity, what, bytes, compute))

    async def read(self, block: Block) -> NDArray[Any]:
        """The weights of its checkpoints as vectors, (checkpoints, parameters)."""
        first = await self._vector(block.checkpoints[0])
        found, turn = (
            np.empty((len(block.checkpoints), len(first)), first.dtype),
            asyncio.Semaphore(AT_ONCE),
        )
        found[0] = first

        async def one(number: int) -> None:
            async with turn:
                found[number] = await self._vector(block.checkpoints[number])

        await gather(one, range(1, len(block.checkpoints)))
        return found

    async def _vector(self, checkpoint: CheckpointManifest) -> NDArray[Any]:
        """All parameters that have a distance, in the order of their names, end to end."""
        weights = await weights_of(self._context, self._view, checkpoint.step)
        real = {name: w for name, w in sorted(weights.items()) if w.dtype.kind == "f"}
        finite = await self._context.inference.apart(
            lambda: {name: w for name, w in real.items() if weight_norm(w) is not None}
        )
        layout = {name: f"{list(w.shape)} {w.dtype}" for name, w in finite.items()}
        step, first = self._layout = self._layout or (checkpoint.step, layout)
        if layout != first:
            raise _other_weights(step, first, checkpoint.step, layout)
        return np.concatenate([w.ravel() for w in finite.values()] or [np.empty(0, np.float32)])


class _Held:
    """The vectors of a block, read when they are first asked for."""

    def __init__(self, products: UpdateProducts, block: Block) -> None:
        self.block, self._products = block, products
        self._vectors: NDArray[Any] | None = None

    async def vectors(self) -> NDArray[Any]:
        """(checkpoints, parameters)."""
        if self._vectors is None:
            self._vectors = await self._products.read(self.block)
        return self._vectors


def _other_weights(a: int, of_a: Layout, b: int, of_b: Layout) -> InvalidInput:
    """There is no way from one vector to another of another space."""
    every = sorted(of_a.keys() | of_b.keys())
    name = next(one for one in every if of_a.get(one) != of_b.get(one))
    here, there = (of.get(name, "none that is finite") for of in (of_b, of_a))
    return InvalidInput(
        "to_step",
        f"step {b} has other weights than step {a}: of {name[:60]!r} {here}, there {there}; "
        "ask for steps that have the same",
    )
