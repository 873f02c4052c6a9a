"""From what is stored of a run to what it brings to a study (`analysis.precursors`).

Measures by request are in no manifest: those of each run lie in a file under home, by the digests
of its models, so that nothing is computed twice.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from grokprobe.analysis import ANALYSIS_VERSION
from grokprobe.analysis.precursors.members import NAMES, Member, member
from grokprobe.store.archive.contents import Contents
from grokprobe.store.records import CheckpointManifest, status_of

VALUE_BYTES = 8

Requested = dict[str, dict[str, float | None]]  # by the digest of a model, and by name


class _Kept(msgspec.Struct):
    """The file of a run: what other formulas gave is not read."""

    analysis_version: int
    models: Requested


def member_of(contents: Contents, requested: Mapping[str, Mapping[str, object]]) -> Member:
    """A run with its stored measures, and those by request; those of keys once it has ended."""
    manifest, stored = contents.run.record, contents.measures
    found = {c.step: {**stored[c.step], **requested.get(c.model.sha256, {})} for c in _of(contents)}
    return member(
        run=manifest.run,
        seed=manifest.seed,
        modulus=manifest.task.modulus,
        status=status_of(contents.completion and contents.completion.record),
        measures=found,
    )


def lacking(
    contents: Contents, requested: Requested, names: Sequence[str]
) -> list[CheckpointManifest]:
    """The checkpoints of a run of which not all of these measures are known."""
    wanted = set(names)
    return [c for c in _of(contents) if not wanted <= requested.get(c.model.sha256, {}).keys()]


def _of(contents: Contents) -> list[CheckpointManifest]:
    return [c.record for _, c in sorted(contents.checkpoints.items()) if c]


def read_requested(home: Path, contents: Contents) -> Requested:
    """What is kept of a run; nothing where its file is not there, or is not ours."""
    try:
        kept = msgspec.json.decode(_path(home, contents).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return {}
    return kept.models if kept.analysis_version == ANALYSIS_VERSION else {}


def write_requested(home: Path, contents: Contents, requested: Requested) -> None:
    """Keep this of a run; whoever reads meanwhile sees all of it or what was there before."""
    path = _path(home, contents)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}")
    new.write_bytes(msgspec.json.encode(_Kept(ANALYSIS_VERSION, requested)))
    new.replace(path)


def _path(home: Path, contents: Contents) -> Path:
    return home / "measures" / f"{contents.run.sha256}.json"


def study_bytes(checkpoints: int) -> int:
    """What the members of so many checkpoints take: their series, and one of them once more."""
    return VALUE_BYTES * (len(NAMES) + 4) * checkpoints
