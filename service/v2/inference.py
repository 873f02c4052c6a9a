"""Inference: pairs in, outputs out, in JSON or binary."""

from litestar import Response, post

from service.context import FromContext
from service.http.asgi import AnyRequest, AnyResponse
from service.http.bodies import read_encoded_body
from service.http.parameters import RunPath, StepPath
from service.inference.batching import INLINE_PAIRS
from service.telemetry.requests import header
from service.v2.encodings import FORMATS, pack, unpack
from service.v2.openapi import BINARY, JSON, WithTensors
from service.v2.outputs import choose_outputs, compute, encode_outputs, reserved
from service.v2.paths import LATEST, OF_A_BODY, OF_A_MODEL, TAGS, of_a_model
from service.v2.records import InferAnswer
from service.v2.requests import JSON_LENGTH, check_pairs, read_request


@post(
    of_a_model("/infer"),
    status_code=200,
    summary="Outputs of pairs",
    tags=TAGS,
    responses={**OF_A_MODEL, **OF_A_BODY},
    operation_class=WithTensors,
)
async def infer(
    request: AnyRequest,
    context: FromContext,
    run: RunPath,
    step: StepPath = LATEST,
) -> Response[InferAnswer]:
    """The outputs of the pairs in the body, which may be packed by gzip or deflate."""
    body = await read_encoded_body(request, context)
    with context.inference.permit():
        view, number = await context.views.find(run, step)
        with context.statistics.request(run, number) as watch:
            encoding = header(request.scope, b"content-encoding") or "identity"
            body = await unpack(context, body, encoding)
            wanted = read_request(context, run, body, request.headers.get(JSON_LENGTH))
            del body  # unpacked it is much larger than the pairs may be
            watch.lap("compute_input")
            checkpoint = await context.checkpoints.get(view, number)
            watch.lap("queue")
            check_pairs(wanted.pairs, checkpoint.table.task.modulus)
            outputs = choose_outputs(context, checkpoint, wanted)
            async with reserved(context, checkpoint, outputs, len(wanted.pairs)):
                found = await compute(context, checkpoint, outputs, wanted.pairs)
                watch.lap("compute_infer")

                def respond() -> AnyResponse:
                    answer = InferAnswer(run, str(number), [], wanted.id)
                    accepted = header(request.scope, b"accept-encoding")
                    return _response(*encode_outputs(answer, outputs, found), accepted)

                small = len(wanted.pairs) <= INLINE_PAIRS
                response = respond() if small else await context.inference.apart(respond)
            watch.lap("compute_output")
            return response


def _response(body: bytes, json_length: int | None, accepted: str) -> AnyResponse:
    """The answer, packed only if one encoding alone is accepted.

    The client library asks so when it will unpack; what it sends without being told to is longer,
    and it does not unpack everything then.
    """
    headers = {} if json_length is None else {JSON_LENGTH: str(json_length)}
    if accepted in FORMATS:
        headers["Content-Encoding"] = accepted
        body = pack(body, accepted)
    return Response(body, media_type=JSON if json_length is None else BINARY, headers=headers)
