"""What of a run was compared with object storage: only that is served as if it never changed.

What Redis holds may have been written by anybody. `complete.json` has the digest over all manifests
of a run that has ended, so that two reads prove everything; else each checkpoint is read once.
"""

from grokprobe.errors import CheckpointCorrupt, IndexDoubted, StepNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents, manifests_sha256
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.seal import Seal
from grokprobe.store.records import Completion

# The record of a step, or of the run, by the digest of its bytes.
Fact = tuple[int | str, str]
RUN, COMPLETION = "run", "completion"


class Proof:
    """What was found to be as object storage has it."""

    def __init__(self, whole: Seal | None = None) -> None:
        """`whole` is the seal of what was read there."""
        self._known: set[Fact | Seal] = {whole} if whole else set()

    def holds(self, contents: Contents, step: int | None) -> bool:
        """Whether it covers a checkpoint, or with None all that there is."""
        return contents.seal in self._known or not self._open(contents, step)

    def covered(self, contents: Contents) -> Contents | None:
        """The part of `contents` that it covers; None where not even `run.json` is."""
        if contents.seal in self._known:
            return contents
        if (RUN, contents.run.sha256) not in self._known:
            return None
        ended = contents.completion
        there = contents.checkpoints.items()
        return Contents(
            run=contents.run,
            completion=ended if ended and (COMPLETION, ended.sha256) in self._known else None,
            checkpoints={s: c for s, c in there if c and (s, c.sha256) in self._known},
            problems=[],
            version=contents.version,
        )

    async def extend(self, archive: ArchiveReader, contents: Contents, step: int | None) -> None:
        """Compare what is not covered yet.

        Raises IndexDoubted where object storage says otherwise, RunNotFound, StoreUnavailable.
        """
        try:
            await self._extend(archive, contents, step)
        except (CheckpointCorrupt, StepNotFound):
            raise IndexDoubted(contents.name, "contradicted") from None

    async def _extend(self, archive: ArchiveReader, contents: Contents, step: int | None) -> None:
        run, ended, left = contents.name, contents.completion, self._open(contents, step)
        if (RUN, contents.run.sha256) in left:
            self._note(run, (RUN, (await archive.stored_run(run)).sha256), left)
        if ended and (COMPLETION, ended.sha256) in left:
            path = names.completion_path(run)
            found = await archive.stored(path, Completion, run=run)
            self._note(run, (COMPLETION, found.sha256 if found else ""), left)
        if ended and ended.record.manifests_sha256 == manifests_sha256(contents.checkpoints):
            self._known.add(contents.seal)
            return

        async def one(wanted: int) -> None:
            found = await archive.stored_checkpoint(run, wanted)
            self._note(run, (wanted, found.sha256), left)

        await gather(one, [name for name, _ in left if isinstance(name, int)])
        if step is None:
            self._known.add(contents.seal)

    def _open(self, contents: Contents, step: int | None) -> set[Fact]:
        """What would have to be known besides."""
        needed: set[Fact] = {(RUN, contents.run.sha256)}
        if contents.completion:
            needed.add((COMPLETION, contents.completion.sha256))
        steps = contents.checkpoints if step is None else [step]
        found = ((s, contents.checkpoints[s]) for s in steps)
        needed |= {(s, c.sha256) for s, c in found if c}
        return needed - self._known

    def _note(self, run: str, fact: Fact, expected: set[Fact]) -> None:
        if fact not in expected:
            raise IndexDoubted(run, "contradicted")
        self._known.add(fact)
