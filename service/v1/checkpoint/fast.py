"""The way past the framework for the request that comes in thousands: a few predictions.

What the framework costs a request is more than all the rest. The common POST of `.../predictions`
is taken up before it: the same functions read, check, admit, predict and describe errors, and the
answer goes out as bytes. Whatever is special about a request (another format, a query, a long or
encoded body) is left to the route; a GET has an ETag, which the routes know how to make.
"""

import re

from litestar.types import HTTPScope, Receive, Send

from service.context import Context
from service.formats.registry import JSON
from service.formats.tables import to_json
from service.http.asgi import send_whole
from service.http.bodies import decode_body, receive_body
from service.http.problems import send_problem
from service.http.target import Opened
from service.telemetry.requests import HTTPApp, state_of
from service.v1.checkpoint.predict import MAX_WHOLE, empty_answer, predict_block, question
from service.v1.checkpoint.prediction_records import CHOICES, PredictionRequest

PATH = re.compile(r"/v1/runs/([^/]+)/checkpoints/([^/]+)/predictions")
TEMPLATE = "/v1/runs/{run}/checkpoints/{step}/predictions"
HEADERS = [(b"content-type", JSON.media_type.encode()), (b"vary", b"Accept, Accept-Encoding")]
SHORT = len('{"pairs":[]}') + 6 * MAX_WHOLE - 1  # bytes of a body: it has no more pairs than that
COMMON_ACCEPT = (None, b"*/*", b"application/json")


def fast_path(app: HTTPApp, context: Context) -> HTTPApp:
    """`app`, but for common predictions, which never reach it."""

    async def fast(scope: HTTPScope, receive: Receive, send: Send) -> None:
        path = PATH.fullmatch(scope["path"])
        if not path or not _is_common(scope):
            return await app(scope, receive, send)
        # As the framework has them, for metrics, traces and logs.
        scope["path_template"] = TEMPLATE
        scope["path_params"] = {"run": path[1], "step": path[2]}
        try:
            answer = await _answer(context, receive, path[1], path[2])
        except Exception as error:
            return await send_problem(scope, send, error)
        return await send_whole(send, 200, HEADERS, answer)

    return fast


def _is_common(scope: HTTPScope) -> bool:
    headers = state_of(scope).headers
    length = headers.get(b"content-length")  # none: in chunks
    return (
        scope["method"] == "POST"
        and not scope["query_string"]
        and length is not None
        and int(length) <= SHORT
        and headers.get(b"accept") in COMMON_ACCEPT
        and b"content-encoding" not in headers
        and b"msgpack" not in headers.get(b"content-type", b"").lower()
    )


async def _answer(context: Context, receive: Receive, run: str, step: str) -> bytes:
    """The answer as JSON; refusals come in the order of the route's."""
    context.inference.admission.check()
    view, number = await context.views.find(run, step)
    body = await receive_body(receive, context)
    with context.inference.permit():
        given = decode_body(body, "", PredictionRequest, CHOICES)
        opened = Opened(view, number, await context.checkpoints.get(view, number))
        wanted = question(context, given, opened.checkpoint)
        assert wanted.pairs is not None
        answer = empty_answer(opened)
        answer.predictions = await predict_block(context, opened, wanted, wanted.pairs)
        if wanted.is_wide(opened.checkpoint, len(wanted.pairs)):
            return await context.inference.apart(lambda: to_json(answer))
        return to_json(answer)
