"""A group of runs, such as the members of a study."""

from grokprobe.client.asynchronous.resource import Resource
from grokprobe.client.records import GroupEmergenceAnswer, Study


class AsyncGroup(Resource):
    """The runs that carry a group's name."""

    async def emergence(self) -> GroupEmergenceAnswer:
        """When each member memorised and generalised, and how that is spread."""
        return await self._get(GroupEmergenceAnswer, "GET /v1/groups/{group}/emergence")

    async def precursors(self) -> Study:
        """How long before generalisation each series crosses its own threshold."""
        return await self._get(Study, "GET /v1/groups/{group}/precursors")
