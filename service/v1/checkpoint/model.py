"""The ONNX file itself."""

from litestar import Response, get

from service.context import FromContext
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest, send

MEDIA_TYPE = "application/octet-stream"


@get(
    "/runs/{run:str}/checkpoints/{step:str}/model.onnx",
    summary="The ONNX model",
    tags=["checkpoints"],
    media_type=MEDIA_TYPE,
    **offering((), OF_A_CHECKPOINT, "file"),
)
async def get_model(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
) -> Response[bytes]:
    """The file as published, verified; its ETag is its SHA-256. It runs in any ONNX runtime."""
    archive, number = context.backends.archive, request.target.number
    with context.inference.permit():
        manifest = await archive.checkpoint(run, number)
        model = await archive.model(manifest, context.settings.max_model_bytes)
    headers = {
        "ETag": f'"{manifest.model.sha256}"',  # object storage's word, not the index's
        "Content-Disposition": f'attachment; filename="{run}-{number}.onnx"',
    }
    return send(request.reply, model, MEDIA_TYPE, headers)
