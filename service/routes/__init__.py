"""The API, one noun a file. HTTP happens here and nowhere deeper."""

from typing import Annotated

from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from service import problems

RunPath = Annotated[str, PathParameter(description="The run's name.")]
StepPath = Annotated[
    str,
    PathParameter(description="A step, or `first`, `latest`, `memorised`, `generalised`."),
]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on one page.")]
FromStep = Annotated[int | None, QueryParameter(ge=0, description="The first step to list.")]
ToStep = Annotated[int | None, QueryParameter(ge=0, description="The last step to list.")]


Permutations = Annotated[
    int,
    QueryParameter(ge=0, le=10_000, description="Draws of the null; 0 for none."),
]
Seed = Annotated[int, QueryParameter(ge=0, le=2**63 - 1, description="Seed of the null's draws.")]


def caching(provisional: bool) -> dict[str, str]:
    """The headers of an answer that stands on key frequencies; provisional ones may change."""
    return {"Cache-Control": "no-cache"} if provisional else {}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem responses of a route, for its OpenAPI entry."""
    return {
        status: ResponseSpec(
            problems.Problem,
            generate_examples=False,
            media_type=problems.MEDIA_TYPE,
            description="A problem, by RFC 9457.",
        )
        for status in statuses
    }


OF_A_LIST = documented(400, 406, 503, 504)
OF_A_RUN = documented(400, 404, 406, 500, 503, 504)
OF_A_CHECKPOINT = documented(400, 404, 406, 429, 500, 503, 504)
