"""The ONNX file itself."""

from litestar import Response, get

from service.context import FromContext
from service.http.asgi import AnyRequest
from service.http.openapi import OF_A_CHECKPOINT, documented, offering
from service.http.parameters import RunPath
from service.http.preconditions import NotModified, SettledRequest
from service.http.ranges import byte_range

MEDIA_TYPE = "application/octet-stream"


@get(
    "/runs/{run:str}/checkpoints/{step:str}/model.onnx",
    summary="The ONNX model",
    tags=["checkpoints"],
    media_type=MEDIA_TYPE,
    **offering((), {**OF_A_CHECKPOINT, **documented(416)}, "file"),
)
async def get_model(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
) -> Response[bytes]:
    """The file as published, verified; its ETag is its SHA-256. It runs in any ONNX runtime.

    One range of its bytes may be asked for.
    """
    archive, number = context.backends.archive, request.target.number
    with context.inference.permit():
        manifest = await archive.checkpoint(run, number)
        model = await archive.model(manifest, context.settings.max_model_bytes)
    headers = {
        **request.reply.headers,
        "ETag": f'"{manifest.model.sha256}"',  # object storage's word, not the index's
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{run}-{number}.onnx"',
    }
    if request.reply.stands(headers):
        return NotModified(headers)
    part = _part(request, headers["ETag"], len(model))
    if part is None:
        return Response(model, media_type=MEDIA_TYPE, headers=headers)
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(model)}"
    body = model[part.start : part.stop]
    return Response(body, status_code=206, media_type=MEDIA_TYPE, headers=headers)


def _part(request: AnyRequest, etag: str, size: int) -> range | None:
    """The bytes that are asked for; None for all. If-Range asks for a part of this file alone."""
    if request.headers.get("if-range", etag) != etag:
        return None
    return byte_range(request.headers.get("range", ""), size)
