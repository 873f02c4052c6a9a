"""What a route declares of its answers, for its work and for the OpenAPI document."""

from dataclasses import dataclass
from typing import Literal

from service.formats.registry import Formats

# What an answer is made of: a checkpoint's file as it is, the split that a run began with, a
# checkpoint, a checkpoint or run with the run's key frequencies, whatever a run holds, or that and
# our version.
RestsOn = Literal["file", "split", "checkpoint", "keys", "run", "card"]


@dataclass(frozen=True)
class Resource:
    """The formats on offer, the default first, and what is known of the answers before the work."""

    formats: Formats
    rests_on: RestsOn | None = None  # None: nothing that is known before the work
    takes_body: bool = False  # which is not read, nor anything else, where no permit is free
    named_by: tuple[str, ...] = ()  # the parameters that name checkpoints where no path does
