"""What only the service can refuse; the rest of the tree is in `grokprobe.errors`.

GrokprobeError
|-- Unauthorised
|-- RateExceeded
|-- NotFound
|   |-- OutputMissing
|   |-- WeightMissing
|   `-- SplitUnknown
|-- FormatNotOffered
|-- TooLarge
|-- PreconditionFailed
|-- RangeNotSatisfiable
|-- EncodedBody
|-- IncompleteBody
|-- ClientGone
|-- DeadlineExceeded
|-- Unfinished
|-- Stopping
|-- TooManyListeners
|-- PictureLost
|-- PictureTooLarge
|-- NeverFits
|-- WorkTooLong
|-- MemoryBusy
`-- Overloaded
"""

from collections.abc import Iterable

from grokprobe.errors import GrokprobeError, NotFound


class Unauthorised(GrokprobeError):
    """No key came with the request, or none that is known; `challenge` says so to programs."""

    reason = "key"

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.challenge = 'Bearer realm="grokprobe"' + (f', error="{code}"' if code else "")


class RateExceeded(GrokprobeError):
    """A key is used more often than it may be."""

    reason = "rate"

    def __init__(self, name: str, rate: float, retry_after_s: int) -> None:
        super().__init__(f"the key of {name!r} has {rate:g} requests/s; wait {retry_after_s} s")
        self.retry_after_s = retry_after_s


class OutputMissing(NotFound):
    """The checkpoint's model does not have the output that was asked for."""

    def __init__(self, output: str, offered: Iterable[str], whose: str = "this model") -> None:
        super().__init__(f"{whose} has no output {output!r}; it has {', '.join(offered)}")


class WeightMissing(NotFound):
    """The checkpoint's model has no parameter of that name."""

    def __init__(self, name: str, offered: Iterable[str]) -> None:
        super().__init__(f"this model has no weight {name!r}; it has {', '.join(offered)}")


class DigestDiffers(NotFound):
    """A citation names the run by a digest that it does not have."""

    def __init__(self, run: str, digest: str) -> None:
        super().__init__(
            f"run {run!r} is not the one that was cited: its digest is sha256:{digest} now; its "
            "name was used again, or it went on; without `digest` you have its card"
        )


class SplitUnknown(NotFound):
    """Nobody knows which pairs the run was trained on."""

    def __init__(self, run: str) -> None:
        super().__init__(
            f"the split of {run!r} is unknown: others trained it, and its import was not told on "
            "which pairs; a layout's [split] tells it"
        )


class FormatNotOffered(GrokprobeError):
    """The representation asked for is not one of those that this resource has."""

    def __init__(self, given: str, offered: Iterable[str], why: str = "") -> None:
        known = ", ".join(offered)
        super().__init__(f"format {given[:200]!r} is not on offer here; choose {known}{why}")


class TooLarge(GrokprobeError):
    """The request is larger than a limit, which the message names."""


class PreconditionFailed(GrokprobeError):
    """The client wants this answer as it had it, by If-Match, and it is another now."""

    def __init__(self, expected: str, etag: str) -> None:
        super().__init__(f"If-Match names {expected[:80]}, the answer is {etag}: ask for it anew")


class RangeNotSatisfiable(GrokprobeError):
    """None of the bytes asked for are in the answer of `size` bytes."""

    def __init__(self, header: str, size: int) -> None:
        super().__init__(f"the answer has {size} bytes: nothing of {header[:80]!r} is in it")
        self.size = size


class EncodedBody(GrokprobeError):
    """The body is compressed, which is not understood here."""


class IncompleteBody(GrokprobeError):
    """The body did not come in time, or its sender went away."""


class ClientGone(GrokprobeError):
    """Nobody waits for the answer any more."""


class DeadlineExceeded(GrokprobeError):
    """The answer was not there within the time that the client gave."""


class Unfinished(GrokprobeError):
    """The answer takes longer than a request may; what has been computed for it stays."""

    def __init__(self, done: int, wanted: int, what: str) -> None:
        super().__init__(
            f"{done} of {wanted} checkpoints have been {what}; what is done stays: send the same "
            "request again"
        )
        self.done = done


class InferenceTooLong(GrokprobeError):
    """A model that was not exported here takes longer than such a model may."""

    def __init__(self, limit_s: int) -> None:
        super().__init__(
            f"inference of this model was ended after {limit_s} s (GROKPROBE_MAX_INFERENCE_S); ask "
            "for fewer pairs, or later"
        )


class WorkTooLong(GrokprobeError):
    """The answer takes longer than a turn lasts: it is too large for this modulus."""

    def __init__(self, done: int, limit_s: float) -> None:
        super().__init__(
            f"{done} sets were through after {limit_s:g} s, which is all that an answer may take; "
            "ask for fewer controls"
        )


class Stopping(GrokprobeError):
    """The process stops before the answer is there."""


class TooManyListeners(GrokprobeError):
    """As many listen to events as can be told in time."""

    def __init__(self, listeners: int) -> None:
        super().__init__(f"{listeners} listen to events (GROKPROBE_MAX_LISTENERS); try again later")
        self.retry_after_s = 30


class PictureLost(GrokprobeError):
    """The renderer ended while it drew, or was ended; another draws the next picture."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}, so the picture was not finished; try again")


class PictureTooLarge(GrokprobeError):
    """The picture would have more pixels than are drawn."""

    def __init__(self, size: str) -> None:
        super().__init__(
            f"the picture would have {size} pixels, more than are drawn; ask for a smaller scale "
            "or width"
        )


class NeverFits(GrokprobeError):
    """The answer takes more memory than all requests together may."""

    def __init__(self, what: str, need: int, budget: int) -> None:
        super().__init__(
            f"{what} takes up to {need >> 20} MiB of memory, and all requests together may take "
            f"{budget >> 20} MiB (GROKPROBE_REQUEST_MEMORY_BYTES)"
        )


class MemoryBusy(GrokprobeError):
    """The memory that the answer takes is held by other requests for now."""

    def __init__(self, what: str, need: int, retry_after_s: int) -> None:
        super().__init__(
            f"{what} takes up to {need >> 20} MiB of memory, which others hold "
            f"(GROKPROBE_REQUEST_MEMORY_BYTES); try again in {retry_after_s} s"
        )
        self.retry_after_s = retry_after_s


class Overloaded(GrokprobeError):
    """Too many requests are in flight, of a kind; `retry_after_s` says when to come back."""

    def __init__(self, in_flight: int, retry_after_s: int, kind: str = "requests") -> None:
        super().__init__(f"{in_flight} {kind} are in flight; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
