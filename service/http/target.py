"""Which runs and steps a request names: one by its path, or several by parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from grokprobe.errors import InvalidInput
from grokprobe.store.records import CheckpointManifest
from service.context import Context
from service.http.asgi import AnyRequest
from service.http.queries import Query
from service.http.resources import Resource
from service.inference.checkpoints import Checkpoint
from service.runs.view import RunView


@dataclass(frozen=True)
class Target:
    """What a request names: a run, or a checkpoint of it by number or label.

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


async def find(context: Context, request: AnyRequest, query: Query) -> tuple[Target, ...]:
    """What the path of a request names, or each of the parameters that its route names.

    Raises InvalidInput, RunNotFound, StepNotFound, LabelNotReached, CheckpointCorrupt.
    """
    resource: Resource = request.route_handler.opt["resource"]
    if "run" in request.path_params:
        return (await _of_path(context, request, resource),)
    given = dict(query)
    return tuple([await _named(context, request, n, given.get(n)) for n in resource.named_by])


async def _of_path(context: Context, request: AnyRequest, resource: Resource) -> Target:
    run = request.path_params["run"]
    path, given = request.scope["path"], request.path_params.get("step")
    if given is None:
        kept = resource.rests_on == "keys"
        return Target(await context.views.whole(run, kept), None, False, path)
    view, step = await context.views.find(run, given)
    before, _, after = path.partition(f"/checkpoints/{given}")
    return Target(view, step, given != str(step), f"{before}/checkpoints/{step}{after}")


async def _named(context: Context, request: AnyRequest, name: str, given: str | None) -> Target:
    if given is None:
        raise InvalidInput(name, "is missing: a checkpoint as RUN/STEP, such as tiny/latest")
    run, slash, step = given.partition("/")
    if not (run and slash and step) or "/" in step:
        raise InvalidInput(name, f"must be a checkpoint as RUN/STEP, got {given[:80]!r}")
    view, number = await context.views.find(run, step)
    return Target(view, number, step != str(number), request.scope["path"])


def numbered(query: Query, names: Sequence[str], targets: Sequence[Target]) -> Query:
    """The same question of numbered checkpoints, in the parameters that name some."""
    found = {
        name: f"{target.view.manifest.run}/{target.number}"
        for name, target in zip(names, targets, strict=False)
    }
    return tuple((name, found.get(name, value)) for name, value in query)


async def open_checkpoint(context: Context, target: Target) -> Opened:
    """The checkpoint that a path names. Raises CheckpointCorrupt and StoreUnavailable."""
    view, step = target.view, target.number
    return Opened(view, step, await context.checkpoints.get(view, step))
