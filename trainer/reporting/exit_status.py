"""What a trainer says by its exit status: the one table of them."""

from enum import IntEnum

from grokprobe.errors import (
    GrokprobeError,
    InvalidInput,
    NotFound,
    RunDeleted,
    RunExists,
    StoreUnavailable,
    Superseded,
)


class Exit(IntEnum):
    """The exit statuses; after a signal it is 128 + its number instead."""

    DONE = 0
    FAILED = 1  # the run, for good, or for a reason that nobody has foreseen
    REFUSED = 2  # what a person can put right; the same again is refused again
    STORE_AWAY = 75  # object storage did not answer for too long: the same later goes on
    SUPERSEDED = 76  # a later trainer has the run: the same again would take it back
    INDEX_BEHIND = 77  # all is published, Redis does not know it: the same again, or reindex


BY_ERROR: dict[type[GrokprobeError], Exit] = {
    InvalidInput: Exit.REFUSED,
    NotFound: Exit.REFUSED,
    RunExists: Exit.REFUSED,
    RunDeleted: Exit.REFUSED,
    StoreUnavailable: Exit.STORE_AWAY,
    Superseded: Exit.SUPERSEDED,
}


def exit_status(error: GrokprobeError) -> Exit:
    """The exit status of a trainer that ended with this error."""
    found = (BY_ERROR[kind] for kind in type(error).__mro__ if kind in BY_ERROR)
    return next(found, Exit.FAILED)


def common_status(statuses: set[int]) -> int:
    """That of several trainers: what all that did not succeed have in common, else FAILED."""
    [status, *others] = statuses - {Exit.DONE} or {Exit.DONE}
    return status if not others and status in set(Exit) else Exit.FAILED
