"""One matrix of each checkpoint of a run: read from the files, no session opened for any of them.

What is made of a matrix is kept; a checkpoint that a run has gained costs itself alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grokprobe.analysis.basis import Basis
from grokprobe.analysis.fourier import Array
from grokprobe.store.archive.objects import gather
from grokprobe.store.records import CheckpointManifest
from service.context import Context
from service.errors import OutputMissing
from service.http.preconditions import SettledRequest
from service.inference.matrices import read_matrix
from service.runs.view import RunView, checkpoint_identity
from service.v1.probing import read_model
from service.v1.run.progress import unfinished_after

T = TypeVar("T")

AT_ONCE = 16  # files that are read at the same time, while they fit into ROOM
ROOM = 2**27
COPIES = 3  # of a file: as it came, parsed, and one of its arrays
NUMBER_BYTES = 128  # of an answer: in arrays, in lists, as text in the longest of the formats


@dataclass(frozen=True)
class Matrices:
    """The matrix `of` of the checkpoints of a run, rows in the order of its basis."""

    context: Context
    view: RunView
    basis: Basis
    of: str

    def check(self, checkpoints: Sequence[CheckpointManifest]) -> None:
        """Raise OutputMissing naming the first checkpoint that does not have it."""
        check_offered(checkpoints, self.of)

    def reading_bytes(self, checkpoints: Sequence[CheckpointManifest]) -> int:
        """The memory of reading them."""
        return COPIES * self._at_once(checkpoints) * _largest(checkpoints)

    def _at_once(self, checkpoints: Sequence[CheckpointManifest]) -> int:
        return max(1, min(AT_ONCE, ROOM // (COPIES * _largest(checkpoints))))

    async def each(
        self,
        request: SettledRequest,
        checkpoints: Sequence[CheckpointManifest],
        what: str,
        kind: type[T],
        use: Callable[[Array], T],
    ) -> list[T]:
        """What `use`, known by its name and parameters `what`, makes of each, of type `kind`.

        Raises Unfinished, CheckpointCorrupt, StoreUnavailable.
        """
        turn, alone = asyncio.Semaphore(self._at_once(checkpoints)), asyncio.Lock()
        async with unfinished_after(request, len(checkpoints), "read") as count:

            async def one(checkpoint: CheckpointManifest) -> T:
                async with turn:
                    found = await self.one(checkpoint, what, kind, use, alone)
                count()
                return found

            return await gather(one, checkpoints)

    async def one(
        self,
        checkpoint: CheckpointManifest,
        what: str,
        kind: type[T],
        use: Callable[[Array], T],
        alone: asyncio.Lock | None = None,
    ) -> T:
        """The same of one checkpoint; models that have to be run are, one after the other."""

        async def compute() -> T:
            made = await self._read(checkpoint, use)
            if made is None:
                async with alone or asyncio.Lock():
                    made = use(await self._infer(checkpoint))
            return made

        identity = checkpoint_identity(self.view.identity, checkpoint)
        found: T = await self.context.derived.get(identity, f"{what}:{self.of}", kind, compute)
        return found

    async def _read(self, checkpoint: CheckpointManifest, use: Callable[[Array], T]) -> T | None:
        """What is made of the matrix in the file; None where it has to be inferred."""
        data = await read_model(self.context, self.view, checkpoint.step)
        where = f"run {checkpoint.run!r} step {checkpoint.step}"
        modulus = self.view.manifest.task.modulus

        def work() -> T | None:
            matrix = read_matrix(data, self.of, where, modulus)
            return None if matrix is None else use(self.basis.rows(matrix))

        return await self.context.inference.apart(work)

    async def _infer(self, checkpoint: CheckpointManifest) -> Array:
        loaded = await self.context.checkpoints.get(self.view, checkpoint.step)
        return self.basis.rows(await self.context.inference.matrix(loaded, self.of))


def check_offered(checkpoints: Sequence[CheckpointManifest], output: str) -> None:
    """Raise OutputMissing naming the first checkpoint whose model lacks an output."""
    for checkpoint in checkpoints:
        offered = checkpoint.model.outputs
        if output not in offered:
            raise OutputMissing(output, offered, f"the model of step {checkpoint.step}")


def _largest(checkpoints: Sequence[CheckpointManifest]) -> int:
    return max((checkpoint.model.bytes for checkpoint in checkpoints), default=1)
