"""Everything that can go wrong, as facts of the domain. HTTP and exit codes are decided elsewhere.

    GrokprobeError
    |-- InvalidInput          a person gave a value that cannot be used
    |   `-- SettingError      ... in an environment variable
    |-- NotFound
    |   |-- RunNotFound
    |   |-- GroupNotFound
    |   |-- StepNotFound
    |   |-- LabelNotReached
    |   `-- NamesMissing
    |-- PublicationError      what a trainer wanted to write contradicts what is there
    |   |-- RunExists
    |   |-- RunDeleted
    |   |-- NameKept
    |   |-- PublicationConflict
    |   `-- Superseded
    |-- CheckpointCorrupt     what was read is not what was published, or is not safe to load
    `-- Unavailable           a dependency did not answer
        |-- StoreUnavailable
        `-- CatalogueUnavailable
            `-- IndexDoubted  ... or what it says of one run does not prove itself

Every message is one line that says what was wrong, where, and what to do. Clients may read it:
what is only for whoever runs the program is in `told`.
"""

import difflib
from collections.abc import Iterable


class GrokprobeError(Exception):
    """The root: catching it catches everything that grokprobe raises on purpose."""

    @property
    def told(self) -> str:
        """The message for logs and terminals."""
        return str(self)


class InvalidInput(GrokprobeError):
    """A person gave a value that cannot be used; `path` says where it stands."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class SettingError(InvalidInput):
    """An environment variable is unknown or has a value that cannot be used."""


class NotFound(GrokprobeError):
    """What was named is not there."""


class RunNotFound(NotFound):
    """No such run, or its name was deleted."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} is not published here")
        self.run = run


class GroupNotFound(NotFound):
    """No published run is in such a group; the message names groups that are called alike."""

    def __init__(self, group: str, known: Iterable[str] = ()) -> None:
        near = difflib.get_close_matches(group, list(known), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"no published run is in a group {group[:80]!r}{hint}")
        self.group = group


class StepNotFound(NotFound):
    """The run has no checkpoint at that step; the message names the nearest ones."""

    def __init__(self, run: str, step: int, nearest: Iterable[int] = ()) -> None:
        self.run, self.step, self.nearest = run, step, list(nearest)
        hint = f"; nearest: {', '.join(map(str, self.nearest))}" if self.nearest else ""
        super().__init__(f"run {run!r} has no checkpoint at step {step}{hint}")


class LabelNotReached(NotFound):
    """A label such as `generalised` that this run has not reached, or that does not exist."""


class NamesMissing(NotFound):
    """The weights cannot be had by the names that were asked for; the message says why."""


class PublicationError(GrokprobeError):
    """What a trainer wanted to write contradicts what object storage holds."""


class RunExists(PublicationError):
    """`train` was asked for a run that is already published."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"run {run!r} exists; continue it with `python -m trainer resume {run}` "
            "or choose another name with --run"
        )


class RunDeleted(PublicationError):
    """The name carries a tombstone: it is taken."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"run {run!r} was deleted and its name is taken; choose another (or free it with "
            f"`python -m grokprobe delete {run} --free-name`, if nobody can have relied on the run)"
        )


class NameKept(PublicationError):
    """The name of a run on which somebody may rely is never used again."""

    def __init__(self, run: str, reason: str) -> None:
        super().__init__(f"the name {run!r} cannot be freed: {reason}")


class PublicationConflict(PublicationError):
    """An object exists under the same name with different content."""


class Superseded(PublicationError):
    """A newer attempt of the same run has started; only the newest may publish."""


class CheckpointCorrupt(GrokprobeError):
    """A published object fails its digest, its size or its safety check."""


class Unavailable(GrokprobeError):
    """A dependency did not answer; trying again later may work.

    The message names no address, bucket or path; `place` does, without secrets.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place

    @property
    def told(self) -> str:
        """The message with its place, for logs and terminals."""
        return f"{self} ({self.place})" if self.place else str(self)


class StoreUnavailable(Unavailable):
    """Object storage did not answer."""


class CatalogueUnavailable(Unavailable):
    """Redis did not answer, or holds no whole index (`grokprobe:ready`)."""


class IndexDoubted(CatalogueUnavailable):
    """The index's entry of one run does not prove itself: object storage is asked instead."""

    def __init__(self, run: str, reason: str) -> None:
        super().__init__(f"the index's entry of run {run!r} is in doubt: {reason}")
        self.run, self.reason = run, reason
