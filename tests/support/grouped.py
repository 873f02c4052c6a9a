"""A small group of runs whose accuracies are written down: when what happens is known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from grokprobe.analysis.emergence import Transition
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue.filters import PER_MEMBER, RunFilter
from grokprobe.store.catalogue.keys import FILED, GROUPS, Command
from grokprobe.store.records import CheckpointKeyMeasures, Status
from service.runs.emergence import STRUCTURE
from service.runs.groups import MemberRow
from tests.support.tiny import CREATED_AT, TinyRun, tiny_run

STEPS = (0, 100, 200, 300, 400)
MEMORISES = (0.1, 1.0, 1.0, 1.0, 1.0)  # at 100, after 0
GROUP = "wd-sweep"


def member(
    run: str,
    test: Sequence[float],
    key_share: Sequence[float] | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> TinyRun:
    """A run that memorises at step 100, with these test accuracies at STEPS."""
    made = tiny_run(run, steps=STEPS, seed=seed, group=GROUP, config=config or {})
    shares: Sequence[float | None] = key_share or [None] * len(STEPS)
    measured = [
        CheckpointKeyMeasures(step=step, measures={"key_share": share})
        for step, share in zip(STEPS, shares, strict=True)
    ]
    accuracies = [
        {"train_accuracy": a, "test_accuracy": b} for a, b in zip(MEMORISES, test, strict=True)
    ]
    return TinyRun(
        made.manifest,
        made.train_mask,
        [
            (msgspec.structs.replace(m, measures={**m.measures, **found}), model)
            for (m, model), found in zip(made.checkpoints, accuracies, strict=True)
        ],
        msgspec.structs.replace(made.completion, created_at=CREATED_AT, checkpoints=measured),
    )


def config(weight_decay: float, seed: int) -> dict[str, Any]:
    """A configuration as a trainer writes it, and a field that it does not always write."""
    extra = {"checkpoints": {"dense": [[0, seed, 1]]}} if seed else {}
    return {
        "optimiser": {"name": "adamw", "weight_decay": weight_decay},
        "training": {"seed": seed},
        **extra,
    }


# Generalises at 300 and at 400; structure 100 steps before and 150 after; one that never does.
EARLY = member("early", (0.0, 0.0, 0.5, 1.0, 1.0), (0.0, 0.5, 1.0, 1.0, 1.0), config(1, 0))
LATE = member("late", (0.0, 0.0, 0.0, 1.0, 0.995), (0.0, 0.0, 0.0, 0.0, 1.0), config(0.5, 1), 1)
NEVER = member("never", (0.1, 0.1, 0.1, 0.1, 0.1), None, config(0, 2), 2)
GOES_ON = member("on", (0.1, 0.1, 0.9, 1.0, 1.0), None, config(1, 3), 3)
FRESH = member("p-fresh", (0.1, 0.1, 0.1, 0.1, 0.1), None, config(1, 4), 4)
NAMES = ["early", "late", "never", "on", "p-fresh"]


async def publish_some(to: Backends, run: TinyRun, checkpoints: int) -> None:
    """The first so many checkpoints of a run that goes on; may be repeated."""
    if run.name not in await to.catalogue.runs():
        await to.publisher.publish_run(run.manifest, run.train_mask)
        await to.catalogue.reconcile(to.archive, run.name)
    for manifest, model in run.checkpoints[:checkpoints]:
        await to.publisher.publish_checkpoint(manifest, model)
        await to.catalogue.add_checkpoint(manifest)


async def publish_group(to: Backends) -> None:
    """Three that have ended, one of two checkpoints, one of none, and a run in no group."""
    for run in (EARLY, LATE, NEVER):
        await run.publish(to)
    await publish_some(to, GOES_ON, 2)
    await publish_some(to, FRESH, 0)
    await tiny_run("alone", steps=(0,)).publish(to)


def crowd(members: int) -> Iterator[Command]:
    """The commands that index so many members of the group `crowd`, of which nothing else is there.

    To be declared whole (`Catalogue.initialise`).
    """
    listed = RunFilter(group="crowd").filed
    for number in range(members):
        others = [part for i in range(PER_MEMBER - 1) for part in (0, f"{i}{listed}/r{number}")]
        yield ("ZADD", FILED, 0, f"{listed}/r{number}", *others)
        yield ("ZADD", GROUPS, 0, f"crowd/r{number}")


def silent_member(run: str, config: Mapping[str, Any], status: Status = "running") -> MemberRow:
    """The row of a member that tells nothing: it has no checkpoint."""
    return MemberRow(
        run=run,
        seed=0,
        status=status,
        checkpoint_count=0,
        latest_step=None,
        config=dict(config),
        train_accuracy=None,
        test_accuracy=None,
        memorised=None,
        generalised=None,
        lost=None,
        delay=None,
        transition=Transition(rise=None),
        lags=dict.fromkeys(STRUCTURE),
    )
