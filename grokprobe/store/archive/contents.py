"""All records of a run as object storage holds them, each with the digest of its bytes.

What cannot be read hides nothing else: a checkpoint whose manifest is broken is known to be there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from grokprobe.cached import cached_property
from grokprobe.errors import CheckpointCorrupt, StepNotFound
from grokprobe.store.archive import names
from grokprobe.store.archive.objects import gather
from grokprobe.store.archive.reader import ArchiveReader, Stored
from grokprobe.store.archive.seal import Seal, digest_of
from grokprobe.store.decoding import check_of_run
from grokprobe.store.records import (
    CheckpointManifest,
    Completion,
    Measure,
    RunManifest,
    sha256,
    status_of,
)

Checkpoints = Mapping[int, Stored[CheckpointManifest] | None]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A run's records. A checkpoint is None where its manifest is there but cannot be read."""

    run: Stored[RunManifest]
    completion: Stored[Completion] | None
    checkpoints: Checkpoints
    problems: list[str]  # one line for each record that could not be read
    version: str = ""  # of `run.json`, where object storage told it

    @cached_property
    def seal(self) -> Seal:
        """What proves it."""
        manifests = {step: c.sha256 if c else "" for step, c in self.checkpoints.items()}
        latest = max((step for step, manifest in manifests.items() if manifest), default=None)
        return Seal(
            run=self.name,
            manifest=self.run.sha256,
            created_at=self.run.record.created_at,
            completion=self.completion and self.completion.sha256,
            status=status_of(self.completion and self.completion.record),
            count=len(manifests),
            unreadable=sum(not manifest for manifest in manifests.values()),
            digest=digest_of(manifests),
            latest=latest,
            latest_sha256=None if latest is None else manifests[latest],
        )

    @property
    def lean(self) -> "Contents":
        """The same without the bytes that the records were read from."""
        ended = self.completion and self.completion._replace(data=b"")
        checkpoints = {s: c and c._replace(data=b"") for s, c in self.checkpoints.items()}
        lean = self.run._replace(data=b"")
        return replace(self, run=lean, completion=ended, checkpoints=checkpoints)

    @property
    def measures(self) -> dict[int, dict[str, Measure]]:
        """All that is stored of each checkpoint, by step; those of the keys once it has ended."""
        found: dict[int, dict[str, Measure]]
        found = {step: {**c.record.measures} for step, c in self.checkpoints.items() if c}
        for row in self.completion.record.checkpoints if self.completion else ():
            if row.step in found:
                found[row.step] = {**row.measures, **found[row.step]}
        return found

    def holds(self, before: "Contents") -> bool:
        """Whether it is that very run, with all that it had before."""
        same = self.run.sha256 == before.run.sha256
        ended = self.completion is not None or before.completion is None
        return same and ended and self.checkpoints.keys() >= before.checkpoints.keys()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.record.run


async def read_contents(
    archive: ArchiveReader, run: str, known: Contents | None = None
) -> Contents:
    """What object storage holds of a run now; what is `known` of that very run is not read again.

    One list, then each record that is new. Raises RunNotFound, CheckpointCorrupt for a `run.json`
    that cannot be read.
    """
    listing = await archive.listing(run)
    if known and known.version != listing.version:
        manifest = await archive.stored_run(run)
        known = known if known.run.sha256 == manifest.sha256 else None
    else:
        manifest = known.run if known else await archive.stored_run(run)
    problems: list[str] = []
    # A run that has ended keeps its end; what could not be read is asked for again.
    completion = known.completion if known and listing.ended else None
    ends_now = listing.ended and completion is None
    if ends_now:
        completion = await _completion(archive, manifest.record, problems)
    have = {s: c for s, c in known.checkpoints.items() if c} if known else {}
    both = await _checkpoints(archive, manifest.record, listing.steps, have, problems)
    if completion and ends_now and completion.record.manifests_sha256 != manifests_sha256(both):
        # A list may take its time: the last steps came while it had passed them already.
        steps = (await archive.listing(run)).steps
        both = await _checkpoints(archive, manifest.record, steps, both, problems)
    return Contents(
        run=manifest,
        completion=completion,
        checkpoints=both,
        problems=list(dict.fromkeys(problems)),
        version=listing.version,
    )


async def _completion(
    archive: ArchiveReader, run: RunManifest, problems: list[str]
) -> Stored[Completion] | None:
    path = names.completion_path(run.run)
    try:
        found = await archive.stored(path, Completion, run=run.run)
        if found:
            check_of_run(run, found.record, path)
    except CheckpointCorrupt as error:
        problems.append(str(error))
        return None
    return found


async def _checkpoints(
    archive: ArchiveReader,
    run: RunManifest,
    steps: list[int],
    have: Checkpoints,
    problems: list[str],
) -> dict[int, Stored[CheckpointManifest] | None]:
    """The manifests of these steps; those that went since they were listed are left out."""
    gone: set[int] = set()

    async def one(step: int) -> Stored[CheckpointManifest] | None:
        if there := have.get(step):
            return there
        try:
            found = await archive.stored_checkpoint(run.run, step)
            check_of_run(run, found.record, names.manifest_path(run.run, step))
        except CheckpointCorrupt as error:
            problems.append(str(error))
            return None
        except StepNotFound:
            gone.add(step)
            return None
        return found

    found = await gather(one, steps)
    return {step: c for step, c in zip(steps, found, strict=True) if step not in gone}


def manifests_sha256(checkpoints: Checkpoints) -> str:
    """The digest over all manifests of a run: of the lines `STEP SHA256`, by step."""
    lines = (f"{step} {c.sha256 if c else ''}\n" for step, c in sorted(checkpoints.items()))
    return sha256("".join(lines).encode())
