"""What only the service can refuse; the rest of the tree is in `grokprobe.errors`.

GrokprobeError
|-- NotFound
|   |-- OutputMissing
|   `-- WeightMissing
|-- FormatNotOffered
|-- TooLarge
|-- EncodedBody
|-- IncompleteBody
|-- ClientGone
|-- DeadlineExceeded
|-- Stopping
`-- Overloaded
"""

from collections.abc import Iterable

from grokprobe.errors import GrokprobeError, NotFound


class OutputMissing(NotFound):
    """The checkpoint's model does not have the output that was asked for."""

    def __init__(self, output: str, offered: Iterable[str]) -> None:
        super().__init__(f"this model has no output {output!r}; it has {', '.join(offered)}")


class WeightMissing(NotFound):
    """The checkpoint's model has no parameter of that name."""

    def __init__(self, name: str, offered: Iterable[str]) -> None:
        super().__init__(f"this model has no weight {name!r}; it has {', '.join(offered)}")


class FormatNotOffered(GrokprobeError):
    """The representation asked for is not one of those that this resource has."""

    def __init__(self, asked: str, offered: Iterable[str]) -> None:
        super().__init__(f"format {asked!r} is not on offer here; choose {', '.join(offered)}")


class TooLarge(GrokprobeError):
    """The request is larger than a limit, which the message names."""


class EncodedBody(GrokprobeError):
    """The body is compressed, which is not understood here."""


class IncompleteBody(GrokprobeError):
    """The body did not come in time, or its sender went away."""


class ClientGone(GrokprobeError):
    """Nobody waits for the answer any more."""


class DeadlineExceeded(GrokprobeError):
    """The answer was not there within the time that the client gave."""


class Stopping(GrokprobeError):
    """The process stops before the answer is there."""


class Overloaded(GrokprobeError):
    """Too many requests are in flight; `retry_after_s` says when to come back."""

    def __init__(self, in_flight: int, retry_after_s: int) -> None:
        super().__init__(f"{in_flight} requests are in flight; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s
