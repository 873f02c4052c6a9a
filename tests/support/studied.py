"""A group to be studied: of each seed one run that generalises and one that does not, by hand."""

from dataclasses import replace

import msgspec

from grokprobe.store.backends import Backends
from grokprobe.store.records import FinalStatus
from tests.support.grouped import config, member, publish_some
from tests.support.tiny import TinyRun

GROKS, NEVER = (0.1, 0.1, 0.5, 1.0, 1.0), (0.1, 0.1, 0.1, 0.1, 0.1)
EARLY, FLAT = (0.0, 0.5, 0.9, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2, 0.1)  # key share
SEEDS = (0, 1, 2, 3)

RUNS = [
    run
    for seed in SEEDS
    for run in (
        member(f"groks-{seed}", GROKS, EARLY, config(1, seed), seed),
        member(f"never-{seed}", NEVER, FLAT, config(0, seed), seed),
    )
] + [
    # Both judge: one generalised and lost it, one has structure and never generalises.
    member("collapses", (0.1, 0.1, 1.0, 0.3, 0.1), EARLY, config(0.3, 1), 1),
    member("false-alarm", NEVER, EARLY, config(0.3, 3), 3),
]
GOES_ON = member("goes-on", NEVER, None, config(1, 5), 5)


def ended_as(status: FinalStatus, run: TinyRun) -> TinyRun:
    """The same run, which ended like this."""
    completion = msgspec.structs.replace(run.completion, status=status)
    return replace(run, completion=completion)


async def publish_studied(to: Backends) -> None:
    """Ten that have ended, and one of two checkpoints that goes on."""
    for run in RUNS:
        await run.publish(to)
    await publish_some(to, GOES_ON, 2)
