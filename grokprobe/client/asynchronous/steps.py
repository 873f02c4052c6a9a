"""The list of a run's checkpoints, and a step counted in it."""

from grokprobe.client.asynchronous.connection import AsyncConnection
from grokprobe.client.asynchronous.resource import Resource
from grokprobe.client.errors import ClientError
from grokprobe.client.records import CheckpointList

PAGE = 1000


async def all_checkpoints(
    run: Resource, from_step: int | None = None, to_step: int | None = None
) -> CheckpointList:
    """The checkpoints of all pages."""
    route = "GET /v1/runs/{run}/checkpoints"
    query = {"from_step": from_step, "to_step": to_step, "limit": PAGE}
    return await run._get_pages(CheckpointList, route, "checkpoints", **query)


async def numbered(connection: AsyncConnection, run: str, identity: str, place: int) -> str:
    """The step of a place in the list, from the end where it is negative. Raises ClientError."""
    if place == -1:
        return "latest"
    rows = (await all_checkpoints(Resource(connection, {"run": run}, identity))).checkpoints
    try:
        return str(rows[place].step)
    except IndexError:
        raise ClientError(f"run {run!r} has {len(rows)} checkpoints: none is {place}") from None
