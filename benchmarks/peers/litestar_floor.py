"""The least that a Litestar handler does: a constant answer."""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get, post

PREDICTION = {"a": 3, "b": 5, "predicted": 8, "answer": 8, "correct": True, "probability": 0.99}
ANSWER = {"run": "mainline", "step": 5, "operation": "add", "predictions": [PREDICTION]}
LONG = bytes(4 * 113**3)  # as the logits of all pairs
ENCODED = msgspec.json.encode(ANSWER)


@post("/read", status_code=200)
async def read(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """An ordinary handler: reads the body, returns what the framework encodes."""
    await request.body()
    return ANSWER


@post("/read_bytes", status_code=200)
async def read_bytes(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Reads the body; the answer is encoded already."""
    await request.body()
    return Response(ENCODED, media_type="application/json")


@post("/unread", status_code=200)
async def unread() -> Response[bytes]:
    """Ignores the body; the answer is encoded already."""
    return Response(ENCODED, media_type="application/json")


@get("/long")
async def long() -> Response[bytes]:
    """Many bytes."""
    return Response(LONG, media_type="application/x-npy")


app = Litestar([read, read_bytes, unread, long], openapi_config=None)
