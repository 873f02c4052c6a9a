"""Which run and which step a path names."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from grokprobe.store.records import CheckpointManifest
from service.context import Context
from service.inference.checkpoints import Checkpoint
from service.runs.view import RunView


@dataclass(frozen=True)
class Target:
    """What a path names: a run, or a checkpoint of it by number or label.

    `path` is that of the numbered resource; `step` is None where a run is named alone.
    """

    view: RunView
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

    view: RunView
    step: int
    checkpoint: Checkpoint


async def find(context: Context, request: Any) -> Target:
    """The run and step that the path of a request names.

    Raises RunNotFound, StepNotFound, LabelNotReached.
    """
    view = await context.views.get(request.path_params["run"])
    path, asked = request.scope["path"], request.path_params.get("step")
    if asked is None:
        return Target(view, None, False, path)
    step = view.step_of(asked)
    before, _, after = path.partition(f"/checkpoints/{asked}")
    return Target(view, step, asked != str(step), f"{before}/checkpoints/{step}{after}")


def asked_of(request: Any) -> Target:
    """What `find` found for a request, before its handler ran."""
    found: Target = request.scope["state"]["asked"]
    return found


async def open_checkpoint(context: Context, request: Any) -> Opened:
    """The checkpoint that a request asks for. Raises CheckpointCorrupt and StoreUnavailable."""
    asked = asked_of(request)
    run, step = asked.view.manifest.run, asked.number
    return Opened(asked.view, step, await context.checkpoints.get(run, step))
