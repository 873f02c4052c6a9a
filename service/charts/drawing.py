"""From an answer to its picture: the chart, its frame and caption, what is kept of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import numpy as np

from grokprobe.colours import THEMES, Theme
from service.charts.frame import Answer, Spec, frame
from service.charts.words import plural
from service.context import Context
from service.formats.answers import NO_HEADERS
from service.formats.pictures import Picture
from service.formats.tables import AnyArray, Blocks, Table, records, to_json
from service.http import responses
from service.http.asgi import AnyResponse
from service.http.preconditions import PICTURE, SettledRequest, kept_picture, send
from service.http.target import Target
from service.rendering.renderer import Work

Chart = Callable[[Answer, Theme], Spec]
ROW_BYTES = 1_024  # of an answer that has a row for each pair: the record, and what a chart reads
DIGEST = 12  # letters of a digest in a caption


async def respond(
    context: Context,
    request: SettledRequest,
    answer: msgspec.Struct,
    table: Table | None = None,
    array: AnyArray | None = None,
    *,
    chart: Chart,
    caption: Sequence[str] = (),
    headers: Mapping[str, str] = NO_HEADERS,
    apart: bool = False,
) -> AnyResponse:
    """The answer's picture where one is asked for, else the answer as `http.responses` sends it.

    `caption` has lines of its own beside those of the request's runs. Raises Overloaded,
    PictureLost, PictureTooLarge.
    """
    chosen, reply = request.reply.format, request.reply
    if not isinstance(chosen, Picture):
        return await responses.respond(reply, answer, table, array, headers, apart)
    tag = {**reply.headers, **headers}["ETag"]
    if kept := kept_picture(context, chosen, tag):
        return send(reply, kept, chosen.media_type, headers)
    compute = partial(_draw, context, request, chosen, answer, chart, caption)
    try:
        body = await context.derived.get(tag, PICTURE, bytes, compute)
    except Exception:
        context.metrics.pictures.inc(chosen.name, "failed")
        raise
    context.metrics.pictures.inc(chosen.name, "drawn")
    return send(reply, body, chosen.media_type, headers)


@asynccontextmanager
async def every_row(context: Context, blocks: Blocks) -> AsyncIterator[list[Any]]:
    """All rows of a large answer, for a picture of them, their memory reserved.

    Raises NeverFits, MemoryBusy.
    """
    need = ROW_BYTES * blocks.length
    async with context.inference.memory.reserve(need, "a picture of all pairs"):
        rows: list[Any] = []
        async for block in blocks.of(0):
            rows += block.tolist() if isinstance(block, np.ndarray) else records(block)
        yield rows


async def _draw(
    context: Context,
    request: SettledRequest,
    chosen: Picture,
    answer: msgspec.Struct,
    chart: Chart,
    caption: Sequence[str],
) -> bytes:
    look = request.reply.look

    def specify() -> Spec:
        told, theme = msgspec.to_builtins(answer), THEMES[look.theme]
        lines = [*(_of_target(target) for target in request.targets), *caption, *_keys(told)]
        return frame(chart(told, theme), theme, lines, chosen.schema)

    spec = await asyncio.to_thread(specify)
    if not chosen.is_drawn:
        return to_json(spec)
    return await context.renderer.draw(Work(spec, chosen.name, look.scale, look.width))


def by_rule(rule: str | None, *, provisional: bool) -> list[str]:
    """The caption's line about key frequencies; none without a rule."""
    until = ", provisional: the run goes on" if provisional else ""
    return [f"key frequencies by the rule {rule}{until}"] if rule else []


def _of_target(target: Target) -> str:
    """A run or a checkpoint in words, and what tells its bytes from any other's."""
    run = f"run {target.view.manifest.run}"
    if target.step is None:
        count = plural(len(target.view.steps), "checkpoint")
        return f"{run}, {count}, sha256 {target.view.digest[:DIGEST]}"
    return f"{run}, step {target.step}, sha256 {target.checkpoint.model.sha256[:DIGEST]}"


def _keys(answer: Answer) -> list[str]:
    """How key frequencies were chosen, where the answer stands on any."""
    keys = answer.get("keys")
    rule = answer.get("key_rule") or (keys.get("rule") if isinstance(keys, Mapping) else None)
    return by_rule(rule, provisional=bool(answer.get("provisional")))
