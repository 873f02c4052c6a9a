"""How paths name a checkpoint: model and version, or a model alone for its latest."""

from service.context import Context
from service.http.openapi import documented
from service.inference.checkpoints import Checkpoint

# 200 and no body says yes: the asyncio client leaves unread what it does not need, and JSON's
# null is a body.
EMPTY = "text/plain"
TAGS = ["inference protocol"]
LATEST = "latest"
OF_A_MODEL = documented(400, 404, 429, 500, 503, 504)
OF_A_BODY = documented(408, 413, 415, 422)


def of_a_model(what: str, under: str = "") -> list[str]:
    """The two paths of what a model has: without a version, and with one."""
    model = f"{under}/models/{{run:str}}"
    return [f"{model}{what}", f"{model}/versions/{{step:str}}{what}"]


async def open_version(context: Context, run: str, version: str) -> Checkpoint:
    """A version, loaded under a permit.

    Raises RunNotFound, StepNotFound, LabelNotReached, CheckpointCorrupt, StoreUnavailable,
    Overloaded.
    """
    with context.inference.permit():
        return await context.checkpoints.get(*await context.views.find(run, version))
