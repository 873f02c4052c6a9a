"""A group of runs, such as the members of a study."""

from grokprobe.client.records import GroupEmergenceAnswer, Study
from grokprobe.client.synchronous.resource import Resource


class Group(Resource):
    """The runs that carry a group's name."""

    def emergence(self) -> GroupEmergenceAnswer:
        """When each member memorised and generalised, and how that is spread."""
        return self._get(GroupEmergenceAnswer, "GET /v1/groups/{group}/emergence")

    def precursors(self) -> Study:
        """How long before generalisation each series crosses its own threshold."""
        return self._get(Study, "GET /v1/groups/{group}/precursors")
