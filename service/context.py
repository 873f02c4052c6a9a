"""What every route works with, assembled once by `create_context`."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from litestar.di import NamedDependency

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from grokprobe.store.manifest import CheckpointManifest
from service.checkpoints import Checkpoint, Checkpoints, Runtime
from service.derived import Derived
from service.events import Feed
from service.inference import Inference
from service.members import Members
from service.metrics import Metrics
from service.v2.statistics import Statistics
from service.views import View, Views


@dataclass(frozen=True)
class Context:
    """The settings, the stores and what stands between them and the routes."""

    settings: Settings
    backends: Backends
    metrics: Metrics
    views: Views
    members: Members
    checkpoints: Checkpoints
    inference: Inference
    derived: Derived
    feed: Feed
    runtime: Runtime
    statistics: Statistics
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Ask for no more traffic: readiness turns off, streams of events end."""
        self.draining.set()
        self.feed.close()


@dataclass(frozen=True)
class Asked:
    """What a path names: a run, or a checkpoint of it by number or label.

    `path` is that of the numbered resource; `step` is None where a run is named alone.
    """

    view: View
    step: int | None
    label: bool
    path: str

    @property
    def checkpoint(self) -> CheckpointManifest:
        """The manifest of the checkpoint, where the path names one."""
        return self.view.checkpoints[self.number]

    @property
    def number(self) -> int:
        """The step, where the path names one."""
        if self.step is None:
            raise LookupError(f"{self.path} names no checkpoint")
        return self.step


class Opened(NamedTuple):
    """A checkpoint that was asked for by number or label, loaded."""

    view: View
    step: int
    checkpoint: Checkpoint


FromContext = NamedDependency[Context]


async def find(context: Context, request: Any) -> Asked:
    """The run and step that the path of a request names.

    Raises RunNotFound, StepNotFound, LabelNotReached.
    """
    view = await context.views.get(request.path_params["run"])
    path, asked = request.scope["path"], request.path_params.get("step")
    if asked is None:
        return Asked(view, None, False, path)
    step = view.step_of(asked)
    before, _, after = path.partition(f"/checkpoints/{asked}")
    return Asked(view, step, asked != str(step), f"{before}/checkpoints/{step}{after}")


def asked_of(request: Any) -> Asked:
    """What `find` found for a request, before its handler ran."""
    found: Asked = request.scope["state"]["asked"]
    return found


async def open_checkpoint(context: Context, request: Any) -> Opened:
    """The checkpoint that a request asks for. Raises CheckpointCorrupt and StoreUnavailable."""
    asked = asked_of(request)
    run, step = asked.view.manifest.run, asked.number
    return Opened(asked.view, step, await context.checkpoints.get(run, step))
