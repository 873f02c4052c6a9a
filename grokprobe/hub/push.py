"""From object storage to the hub: what is there already is not sent again.

A branch is one commit, so it is whole or as it was made; what was sent before a cut and not yet
committed is known to the hub by its SHA-256. Main comes last, but for run.json, which says from the
beginning whose repository this is.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from grokprobe import Client
from grokprobe.client.bars import bar
from grokprobe.client.synchronous.run import Run
from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.hub import layout
from grokprobe.hub.card import card, pictures
from grokprobe.hub.repository import Repository
from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader, Stored
from grokprobe.store.archive.split import encode_split
from grokprobe.store.archive.verification import examine
from grokprobe.store.records import Completion

LABELS = ("memorised", "generalised")


@dataclass(frozen=True)
class Source:
    """A run that has ended and is sound, as object storage holds it, and a service beside it."""

    archive: ArchiveReader
    contents: Contents
    completion: Stored[Completion]
    identical: list[list[int]]
    run: Run

    @property
    def steps(self) -> list[int]:
        """Its steps, ascending."""
        return sorted(self.contents.checkpoints)

    @property
    def labels(self) -> dict[str, int]:
        """The steps that have a tag."""
        about = self.run.about
        found = {"memorised": about.memorised_step, "generalised": about.generalised_step}
        return {name: step for name, step in found.items() if step is not None}


def open_source(settings: Settings, client: Client, name: str) -> Source:
    """A run to be pushed. Raises InvalidInput unless it has ended, CheckpointCorrupt."""
    archive = ArchiveReader(open_store(settings))
    examined = asyncio.run(examine(archive, name))
    if examined.problems:
        raise CheckpointCorrupt(f"{examined.problems[0]}; see `grokprobe verify {name}`")
    contents = asyncio.run(read_contents(archive, name))
    if contents.completion is None:
        raise InvalidInput(name, "has not ended: push it when it has, or `grokprobe resume` it")
    run = client.run(name)
    if run.about.created_at != contents.run.record.created_at:
        raise InvalidInput(name, "is another run at that service than in object storage here")
    return Source(archive, contents, contents.completion, examined.identical, run)


def choose(source: Source, wanted: str | None) -> list[int]:
    """The steps that are meant: all, `every N`, or steps and labels with commas."""
    if wanted is None:
        return source.steps
    if match := re.fullmatch(r"every ([1-9][0-9]*)", wanted):
        return sorted({*source.steps[:: int(match[1])], source.steps[-1]})
    known = {"first": source.steps[0], "latest": source.steps[-1], **source.labels}
    known |= {str(step): step for step in source.steps}
    words = [word.strip() for word in wanted.split(",")]
    if strange := [word for word in words if word not in known]:
        message = f"{strange[0]!r} is no step or label of this run; also `every 10`"
        raise InvalidInput("--steps", message)
    return sorted({known[word] for word in words})


def refuse_identical(source: Source, steps: Sequence[int]) -> None:
    """Raise InvalidInput if two of the steps have the same weights."""
    for equal in source.identical:
        if len(found := [step for step in equal if step in steps]) > 1:
            listed = ", ".join(map(str, found))
            message = f"the weights of steps {listed} are identical; --allow-identical if meant"
            raise InvalidInput(source.contents.name, message)


def push(source: Source, repository: Repository, steps: Sequence[int], private: bool) -> int:
    """Make the hub hold these steps; returns how many branches had to be changed."""
    repository.create(private)
    start = _claim(source, repository)
    there, changed = repository.refs(), 0
    with bar("pushing", len(steps)) as told:
        for step in steps:
            branch = layout.branch_of(step)
            if branch not in there:
                repository.branch(branch, start)
            changed += repository.put(branch, _digested(step_files(source, step)), f"step {step}")
            told(1)
    refs = repository.refs()
    for label, step in source.labels.items():
        if (commit := refs.get(layout.branch_of(step))) is not None:
            repository.tag(label, commit)
    changed += repository.put(layout.MAIN, _main_files(source, repository.address), "the run")
    return changed


def _claim(source: Source, repository: Repository) -> str:
    """The commit of main, with run.json in it. Raises InvalidInput if another run lies there."""
    ours = {layout.RUN: source.contents.run.data}
    there = repository.files(layout.MAIN)
    if layout.RUN not in there:
        if strange := sorted(there.keys() - {layout.CARD}):
            message = f"holds {strange[0]!r:.80} and no run; choose another name"
            raise InvalidInput(repository.address, message)
        repository.put(layout.MAIN, ours, "whose repository this is")
    elif not repository.holds(layout.MAIN, ours):
        message = f"holds another run than {source.contents.name!r} of "
        message += f"{source.contents.run.record.created_at:%Y-%m-%d}; choose another name"
        raise InvalidInput(repository.address, message)
    return repository.refs()[layout.MAIN]


def step_files(source: Source, step: int) -> dict[str, bytes]:
    """What a step's branch holds, but its digests."""
    found = source.contents.checkpoints[step]
    assert found is not None  # it was examined
    archive, name, manifest = source.archive, source.contents.name, found.record
    files = {
        layout.RUN: source.contents.run.data,
        layout.MANIFEST: found.data,
        layout.MODEL: asyncio.run(archive.model(manifest)),
        layout.SAFETENSORS: source.run.at(step).safetensors(),
    }
    if manifest.predictions is not None:
        path = names.predictions_path(name, step)
        data = asyncio.run(archive.objects.read(path, manifest.predictions.bytes))
        files[layout.PREDICTIONS] = data or b""
    return files


def _main_files(source: Source, address: str) -> dict[str, bytes]:
    """What main holds: the last step, and what is the run's."""
    files = step_files(source, source.steps[-1])
    files[layout.COMPLETION] = source.completion.data
    mask = asyncio.run(source.archive.train_mask(source.contents.name))
    if mask is not None:
        files[layout.SPLIT] = encode_split(mask)
    files |= (shown := pictures(source.run))
    files[layout.CARD] = card(source.run, address, shown)
    return _digested(files)


def _digested(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {layout.DIGESTS: layout.encode_digests(files)}
