"""The framework's request and response, and answers that are sent past the framework."""

from typing import Any

from litestar import Request, Response
from litestar.types import HTTPResponseBodyEvent, Send

AnyRequest = Request[Any, Any, Any]  # of no particular user, key or state
AnyResponse = Response[Any]


async def send_whole(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """A response in one piece."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


NO_BODY: HTTPResponseBodyEvent = {"type": "http.response.body", "body": b"", "more_body": False}
