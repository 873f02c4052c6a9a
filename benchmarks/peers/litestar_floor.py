"""The least that a Litestar handler does: a constant answer, with and without reading the body."""

from typing import Any

from litestar import Litestar, Request, Response, post

ANSWER = b'{"run":"mainline","step":5,"predictions":[{"a":3,"b":5,"predicted":24}]}'


@post("/unread", status_code=200)
async def unread() -> Response[bytes]:
    """Ignores the body."""
    return Response(ANSWER, media_type="application/json")


@post("/read", status_code=200)
async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Reads the body."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


app = Litestar([unread, read], openapi_config=None)
