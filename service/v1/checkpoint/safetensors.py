"""The weights as a file of safetensors, made on request and stored nowhere."""

import base64
import hashlib
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.errors import NamesMissing
from grokprobe.store.records import RunManifest
from grokprobe.weight_files.hooked import hooked
from grokprobe.weight_files.stored import to_safetensors
from grokprobe.weights import Weights, read_weights
from service.context import FromContext
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import RunPath
from service.http.preconditions import SettledRequest, send
from service.v1.probing import read_model

MEDIA_TYPE = "application/octet-stream"
Names = Literal["grokprobe", "transformer_lens"]
NamesQuery = Annotated[
    Names,
    QueryParameter(
        description="Names and axes of the weights: ours, as in the ONNX file, or those of "
        "TransformerLens's HookedTransformer."
    ),
]


@get(
    "/runs/{run:str}/checkpoints/{step:str}/model.safetensors",
    summary="The weights as safetensors",
    tags=["checkpoints"],
    media_type=MEDIA_TYPE,
    **offering((), OF_A_CHECKPOINT, "checkpoint"),
)
async def get_safetensors(
    request: SettledRequest,
    context: FromContext,
    run: RunPath,
    names: NamesQuery = "grokprobe",
) -> Response[bytes]:
    """The weights of the ONNX file, made on request; `Repr-Digest` is the file's SHA-256.

    Its metadata are the run, the step, the SHA-256 of the ONNX file, these names, and a
    configuration as JSON: the run's architecture, or the fields of HookedTransformerConfig. A
    network that is no HookedTransformer has no such names: 404.
    """
    view, number = request.target.view, request.target.number
    with context.inference.permit():
        data = await read_model(context, view, number)
        body, digest = await context.inference.apart(
            lambda: _file(data, view.manifest, number, names)
        )
    ending = "" if names == "grokprobe" else f".{names}"
    headers = {
        "Repr-Digest": digest,
        "Content-Disposition": f'attachment; filename="{run}-{number}{ending}.safetensors"',
    }
    return send(request.reply, body, MEDIA_TYPE, headers)


def _file(data: bytes, manifest: RunManifest, step: int, names: Names) -> tuple[bytes, str]:
    """The file, and its digest as a header has it. Raises CheckpointCorrupt, NamesMissing."""
    found = read_weights(data, f"run {manifest.run!r} step {step}", manifest.task.modulus)
    try:
        weights, config = _named(found, manifest.architecture, names)
    except NamesMissing as error:
        advice = "" if names == "grokprobe" else "; names=grokprobe gives its weights as they are"
        raise NamesMissing(
            f"run {manifest.run!r} has no names of {names}: {error}{advice}"
        ) from None
    about = {"run": manifest.run, "step": str(step), "names": names}
    about["onnx_sha256"] = hashlib.sha256(data).hexdigest()
    about["config"] = msgspec.json.encode(config).decode()
    body = to_safetensors(weights, about)
    return body, f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def _named(
    weights: Weights, architecture: dict[str, Any], names: Names
) -> tuple[Weights, dict[str, Any]]:
    """The weights by these names, and the configuration that goes with them."""
    return (weights, architecture) if names == "grokprobe" else hooked(weights, architecture)
