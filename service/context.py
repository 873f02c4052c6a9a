"""What every route works with, assembled once by `create_app`."""

import asyncio
from dataclasses import dataclass
from typing import Any, NamedTuple

from litestar.di import NamedDependency

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from service.checkpoints import Checkpoint, Checkpoints, Runtime
from service.derived import Derived
from service.inference import Inference
from service.metrics import Metrics
from service.views import View, Views


@dataclass(frozen=True)
class Context:
    """The settings, the stores and what stands between them and the routes."""

    settings: Settings
    backends: Backends
    metrics: Metrics
    views: Views
    checkpoints: Checkpoints
    inference: Inference
    derived: Derived
    runtime: Runtime
    draining: asyncio.Event  # set when a stop has been asked for


class Opened(NamedTuple):
    """A checkpoint that was asked for by number or label, loaded."""

    view: View
    step: int
    checkpoint: Checkpoint
    headers: dict[str, str]


FromContext = NamedDependency[Context]


async def find(
    context: Context, request: Any, run: str, asked: str
) -> tuple[View, int, dict[str, str]]:
    """The run, the step that `asked` names, and the headers of the answer.

    Raises RunNotFound, StepNotFound, LabelNotReached. A label is answered with the
    Content-Location of the numbered resource.
    """
    view = await context.views.get(run)
    step = view.step_of(asked)
    # The answer of a POST is not what a GET of the same path has.
    if asked == str(step) or request.method == "POST":
        return view, step, {}
    _, _, resource = request.scope["path"].partition(f"/checkpoints/{asked}")
    query = request.scope["query_string"].decode("latin-1")
    path = f"/v1/runs/{run}/checkpoints/{step}{resource}"
    return view, step, {"Content-Location": f"{path}?{query}" if query else path}


async def open_checkpoint(context: Context, request: Any, run: str, asked: str) -> Opened:
    """Like `find`, with the checkpoint loaded. Raises CheckpointCorrupt and StoreUnavailable."""
    view, step, headers = await find(context, request, run, asked)
    return Opened(view, step, await context.checkpoints.get(run, step), headers)
