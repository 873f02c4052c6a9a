"""Which run and which step a path names."""

from dataclasses import dataclass
from typing import NamedTuple

from grokprobe.store.records import CheckpointManifest
from service.context import Context
from service.http.asgi import AnyRequest
from service.inference.checkpoints import Checkpoint
from service.runs.view import RunView


@dataclass(frozen=True)
class Target:
    """What a path names: a run, or a checkpoint of it by number or label.

    `path` is that of the numbered resource; `step` is None where a run is named alone. Not `proven`
    is what the index alone says, as object storage is away: it is not to be kept.
    """

    view: RunView
    step: int | None
    label: bool
    path: str

    @property
    def proven(self) -> bool:
        """Whether object storage says all of it, too."""
        return self.view.proves(self.step)

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


async def find(context: Context, request: AnyRequest) -> Target:
    """The run and step that the path of a request names.

    Raises RunNotFound, StepNotFound, LabelNotReached, CheckpointCorrupt.
    """
    run = request.path_params["run"]
    path, given = request.scope["path"], request.path_params.get("step")
    if given is None:
        kept = request.route_handler.opt["resource"].rests_on == "keys"
        return Target(await context.views.whole(run, kept), None, False, path)
    view, step = await context.views.find(run, given)
    before, _, after = path.partition(f"/checkpoints/{given}")
    return Target(view, step, given != str(step), f"{before}/checkpoints/{step}{after}")


async def open_checkpoint(context: Context, target: Target) -> Opened:
    """The checkpoint that a path names. Raises CheckpointCorrupt and StoreUnavailable."""
    view, step = target.view, target.number
    return Opened(view, step, await context.checkpoints.get(view, step))
