"""The ONNX file itself."""

from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader

from service.context import FromContext, find
from service.routes import OF_A_CHECKPOINT, RunPath, StepPath


@get(
    "/runs/{run:str}/checkpoints/{step:str}/model.onnx",
    summary="The ONNX model",
    tags=["checkpoints"],
    responses=OF_A_CHECKPOINT,
    media_type="application/octet-stream",
    response_headers=[ResponseHeader(name="ETag", documentation_only=True)],
)
async def get_model(
    request: Request[Any, Any, Any], context: FromContext, run: RunPath, step: StepPath
) -> Response[bytes]:
    """The file as published, verified; its ETag is its SHA-256. It runs in any ONNX runtime."""
    _, number, headers = await find(context, request, run, step)
    archive = context.backends.archive
    with context.inference.permit():
        manifest = await archive.checkpoint(run, number)
        model = await archive.model(manifest, context.settings.max_model_bytes)
    return Response(
        model,
        media_type="application/octet-stream",
        headers={
            **headers,
            "ETag": f'"{manifest.model.sha256}"',
            "Content-Disposition": f'attachment; filename="{run}-{number}.onnx"',
        },
    )
