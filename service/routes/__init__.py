"""The API, one noun a file. HTTP happens here and nowhere deeper."""

from collections.abc import Mapping
from typing import Annotated, Any

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import RequestBody
from litestar.params import PathParameter, QueryParameter

from service import problems
from service.answers import Resource
from service.caching import RestsOn
from service.openapi import operation

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
Seed = Annotated[int, QueryParameter(ge=0, le=2**53 - 1, description="Seed of the null's draws.")]


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem responses of a route, for its OpenAPI entry; those of keys are every route's."""
    return {
        status: ResponseSpec(
            problems.Problem,
            generate_examples=False,
            media_type=problems.MEDIA_TYPE,
            description="A problem, by RFC 9457.",
        )
        for status in sorted({401, 429, *statuses})
    }


def offering(
    formats: tuple[str, ...],
    statuses: Mapping[int, ResponseSpec],
    rests_on: RestsOn | None = None,
    body: RequestBody | None = None,
) -> dict[str, Any]:
    """A route's formats, its problems and what its answers rest on: the work and the document.

    With a body it is a POST, whose answer has no ETag.
    """
    validated = body is None
    return {
        "opt": {"resource": Resource(formats, rests_on)},
        "responses": {**statuses, **({304: NOT_MODIFIED} if validated else {})},
        "operation_class": operation(formats, validated, body),
    }


NOT_MODIFIED = ResponseSpec(None, description="What If-None-Match names still stands.")
OF_A_LIST = documented(400, 406, 503, 504)
OF_A_RUN = documented(400, 404, 406, 500, 503, 504)
OF_A_GROUP = documented(400, 404, 406, 413, 500, 503, 504)
OF_A_CHECKPOINT = documented(400, 404, 406, 500, 503, 504)
