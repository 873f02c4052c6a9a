"""From what is stored of a run to what it brings to a study (`analysis.precursors`)."""

from grokprobe.analysis.precursors.members import NAMES, Member, member
from grokprobe.store.archive.contents import Contents

VALUE_BYTES = 8


def member_of(contents: Contents) -> Member:
    """A run with its stored measures; those of its keys are there once it has ended."""
    manifest = contents.run.record
    return member(
        run=manifest.run,
        seed=manifest.seed,
        modulus=manifest.task.modulus,
        ended=contents.completion is not None,
        measures=contents.measures,
    )


def study_bytes(checkpoints: int) -> int:
    """What the members of so many checkpoints take: their series, and one of them once more."""
    return VALUE_BYTES * (len(NAMES) + 4) * checkpoints
