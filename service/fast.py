"""The way past the framework for the request that comes in thousands: a few predictions.

What the framework costs a request is more than all the rest. The common case of POST and GET
`.../predictions` is taken up before it: the same functions read, check, admit, predict and
describe errors, and the answer goes out as bytes. Whatever is special about a request (another
format, a long or encoded body, a label whose GET names its number) is left to the route.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from litestar.types import ASGIApp, Receive, Send

from service.bodies import decode, receive_body
from service.context import Context, Opened
from service.predicting import one_pair, predict, predict_asked
from service.problems import send_problem, send_whole
from service.schemas.probes import PredictionAnswer, PredictionRequest

PATH = re.compile(r"/v1/runs/([^/]+)/checkpoints/([^/]+)/predictions")
TEMPLATE = "/v1/runs/{run}/checkpoints/{step}/predictions"
ONE_PAIR = re.compile(rb"a=(\d{1,4})&b=(\d{1,4})")
HEADERS = [(b"content-type", b"application/json"), (b"vary", b"Accept")]
# Header -> whether a value of it makes a request special.
SPECIAL: dict[bytes, Callable[[bytes], bool]] = {
    b"accept": lambda value: value not in (b"*/*", b"application/json"),
    b"content-encoding": lambda _: True,
    b"content-length": lambda value: len(value) > 4,
    b"content-type": lambda value: b"msgpack" in value.lower(),
}


def fast_path(app: ASGIApp, context: Context) -> ASGIApp:
    """`app`, but for common predictions, which never reach it."""
    encoder = msgspec.json.Encoder()

    async def fast(scope: Any, receive: Receive, send: Send) -> None:
        path = PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if not path or not _is_common(scope, path[2]):
            await app(scope, receive, send)
            return
        scope["path_template"] = TEMPLATE  # as the framework calls it, for the metrics
        predict_for = _post if scope["method"] == "POST" else _get
        try:
            answer = await predict_for(context, scope, receive, path[1], path[2])
        except Exception as error:
            await send_problem(scope, send, error)
        else:
            await send_whole(send, 200, HEADERS, encoder.encode(answer))

    return fast


def _is_common(scope: Any, step: str) -> bool:
    for name, value in scope["headers"]:
        if name in SPECIAL and SPECIAL[name](value):
            return False
    query = scope["query_string"]
    if scope["method"] == "GET":
        return step.isdigit() and ONE_PAIR.fullmatch(query) is not None
    return scope["method"] == "POST" and not query


async def _post(
    context: Context, _: Any, receive: Receive, run: str, step: str
) -> PredictionAnswer:
    body = await receive_body(receive, context)
    with context.inference.permit():
        asked = decode(body, "", PredictionRequest)
        return await predict_asked(context, await _open(context, run, step), asked)


async def _get(context: Context, scope: Any, _: Receive, run: str, step: str) -> PredictionAnswer:
    a, b = map(int, re.findall(rb"\d+", scope["query_string"]))
    with context.inference.permit():
        opened = await _open(context, run, step)
        modulus = opened.checkpoint.table.task.modulus
        return await predict(context, opened, one_pair(a, b, modulus))


async def _open(context: Context, run: str, step: str) -> Opened:
    view = await context.views.get(run)
    number = view.step_of(step)
    return Opened(view, number, await context.checkpoints.get(run, number), {})
