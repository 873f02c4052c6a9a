"""What a checkpoint loses when a part of it is taken out, beside random parts of equal size."""

from typing import Any

from litestar import Response, post
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from grokprobe.analysis.interventions.outcome import PartOutcome
from service.context import FromContext
from service.formats.registry import TABLE
from service.formats.tables import columns_of, table_of
from service.http.bodies import BODY_TYPES, decode_body, read_body
from service.http.openapi import OF_A_CHECKPOINT, documented, offering
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.http.target import Opened, open_checkpoint
from service.v1.basis import describe_basis
from service.v1.interventions.asked import Asked, ask
from service.v1.interventions.records import (
    CHOICES,
    MAX_CONTROLS,
    MAX_SEED,
    ControlsAnswer,
    InterventionAnswer,
    InterventionRequest,
)
from service.v1.interventions.work import Found, compute

MAX_EXACT = 2**53  # above it JSON's readers round


def intervention_body() -> RequestBody:
    """The body `InterventionRequest`."""
    index = Schema(type=OpenAPIType.INTEGER, minimum=0)
    members = Schema(type=OpenAPIType.ARRAY, items=index)

    def whole(least: int, most: int | None, default: int | None) -> Schema:
        return Schema(type=OpenAPIType.INTEGER, minimum=least, maximum=most, default=default)

    properties: dict[str, Any] = {
        name.removeprefix("$."): Schema(type=OpenAPIType.STRING, enum=list(values))
        for name, values in CHOICES.items()
    }
    properties |= {"remove": members, "keep": members, "layer": whole(0, None, None)}
    properties |= {"controls": whole(0, MAX_CONTROLS, 100), "seed": whole(0, MAX_SEED, 0)}
    schema = Schema(
        type=OpenAPIType.OBJECT,
        required=["of"],
        properties=properties,
        one_of=[Schema(required=["remove"]), Schema(required=["keep"])],
        additional_properties=False,
        examples=[{"of": "logits", "remove": [1, 2], "controls": 100, "seed": 0}],
    )
    media = {kind: OpenAPIMediaType(schema=schema) for kind in BODY_TYPES}
    return RequestBody(content=media, required=True)


@post(
    "/runs/{run:str}/checkpoints/{step:str}/interventions",
    status_code=200,
    summary="What is lost without a part, beside random parts",
    tags=["checkpoints"],
    **offering(TABLE, {**OF_A_CHECKPOINT, **documented(408, 413, 415)}, body=intervention_body()),
)
async def post_interventions(
    request: SettledRequest,
    context: FromContext,
) -> Response[InterventionAnswer]:
    """Loss and accuracy before and after, and of as many random sets of equal size as `controls`.

    Frequencies of the logits, of the neurons' activations or of the embedding; neurons; heads of a
    layer. What has been computed for a checkpoint is kept.
    """
    body = await read_body(request, context)
    with context.inference.permit():
        content_type = request.headers.get("content-type", "")
        given = decode_body(body, content_type, InterventionRequest, CHOICES)
        opened = await open_checkpoint(context, request.target)
        asked = ask(given, opened.checkpoint)

        async def computed() -> InterventionAnswer:
            return _answer(opened, asked, await compute(context, opened.checkpoint, asked))

        answer = await context.derived.get(
            opened.checkpoint.identity, f"{opened.step}: {asked.name}", InterventionAnswer, computed
        )
    table = table_of(answer, "parts", columns_of(PartOutcome))
    return await respond(request.reply, answer, table)


def _answer(opened: Opened, asked: Asked, found: Found) -> InterventionAnswer:
    drawn, parts = found.outcome.drawn, found.outcome.parts
    return InterventionAnswer(
        run=opened.view.manifest.run,
        step=opened.step,
        of=asked.of,
        verb=asked.verb,
        members=list(asked.members),
        pool=len(asked.pool),
        directions=asked.directions,
        by=asked.by,
        layer=found.layer,
        basis=describe_basis(asked.basis) if asked.basis else None,
        method=found.method,
        missed=found.missed,
        controls=ControlsAnswer(
            sets=len(drawn.sets),
            exist=drawn.exist if drawn.exist < MAX_EXACT else None,
            every=drawn.is_every,
            seed=asked.seed,
            tail="at most" if asked.verb == "keep" else "at least",
            avoiding=found.outcome.avoiding,
            match="norm" if asked.matches else None,
        ),
        p_value=parts[0].p_value,
        parts=parts,
    )
