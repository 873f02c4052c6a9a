"""A checkpoint for TensorBoard's Embedding Projector: its configuration, tensors and metadata.

The projector is a page of another host: it reads these three with any origin, sends no header, and
resolves addresses against itself, so that those in the configuration are whole. Read from its
source (`projector_binary.js` of TensorBoard 2.21, the provider of `serving-mode="demo"`):

    config      {"embeddings": [{tensorName, tensorShape, tensorPath, metadataPath}, ...]}
    tensors     one line a vector, tabs between its numbers; float32 where the address has `.bytes`
                at its end
    metadata    one line a vector below a line of names, which a single column must not have

An address with a query cannot end so, and tensors are text, by digits that give each float32.
"""

import asyncio
from typing import Annotated, Any, get_args

import msgspec
import numpy as np
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.coordinates import frequency_plane
from grokprobe.analysis.fourier import Array
from service.context import Context, FromContext
from service.formats.registry import RECORD
from service.http.links import absolute, check_base
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.parameters import OfVectors, Vectors
from service.http.preconditions import SettledRequest, send
from service.http.responses import respond
from service.http.routing import ANY_ORIGIN
from service.http.target import Opened, open_checkpoint

PATH = "/runs/{run:str}/checkpoints/{step:str}/projector"
TSV = "text/tab-separated-values"
TAGS = ["checkpoints"]
TURN = 2 * np.pi

Base = Annotated[
    str | None,
    QueryParameter(
        description="The address of this service as the projector's browser reaches it, such as "
        "`https://lab.example/grokprobe`; default: as this request named it."
    ),
]


class ProjectorEmbedding(msgspec.Struct, rename="camel"):
    """Vectors that the projector can show: their shape, and where they and their labels are."""

    tensor_name: str
    tensor_shape: tuple[int, int]
    tensor_path: str
    metadata_path: str


class ProjectorConfig(msgspec.Struct):
    """What the projector reads first; it opens the first of these."""

    embeddings: list[ProjectorEmbedding]


def _open_to_all(formats: Any, rests_on: Any) -> dict[str, Any]:
    """What such a route declares: any page may read it."""
    declared = offering(formats, OF_A_CHECKPOINT, rests_on)
    return {**declared, "opt": {**declared["opt"], **ANY_ORIGIN}}


@get(
    PATH,
    summary="For TensorBoard's Embedding Projector",
    tags=TAGS,
    **_open_to_all(RECORD, None),
)
async def get_projector(
    request: SettledRequest,
    context: FromContext,
    of: OfVectors = "embedding",
    base: Base = None,
) -> Response[ProjectorConfig]:
    """The projector's configuration: the vectors asked for, then the others that the model has.

    Its addresses are whole. Behind a proxy the service cannot know the scheme and host that a
    browser needs: `base` says them.
    """
    check_base(base)
    with context.inference.permit():
        opened = await open_checkpoint(context, request.target)
    opened.checkpoint.check([of])
    answer = ProjectorConfig([_entry(request, opened, name, base) for name in _names(opened, of)])
    return await respond(request.reply, answer)


def _names(opened: Opened, first: Vectors) -> list[str]:
    others = [name for name in get_args(Vectors) if name in opened.checkpoint.shapes]
    return list(dict.fromkeys([first, *others]))


def _entry(
    request: SettledRequest, opened: Opened, name: str, base: str | None
) -> ProjectorEmbedding:
    checkpoint, path = opened.checkpoint, request.target.path.rstrip("/")
    tensors, metadata = (
        absolute(request.scope, f"{path}/{part}", f"of={name}", base)
        for part in ("tensors", "metadata")
    )
    return ProjectorEmbedding(
        f"{checkpoint.manifest.run} step {opened.step} {name}",
        (basis_of(checkpoint.table.task).order, checkpoint.width(name)),
        tensors,
        metadata,
    )


@get(
    f"{PATH}/tensors",
    summary="The vectors of the residues, for the projector",
    tags=TAGS,
    media_type=TSV,
    **_open_to_all((), "checkpoint"),
)
async def get_projector_tensors(
    request: SettledRequest,
    context: FromContext,
    of: OfVectors = "embedding",
) -> Response[str]:
    """A line for each residue in the order of the operation's group: its vector, by tabs."""
    with context.inference.permit():
        _, _, M = await _vectors(context, request, of)
        body = await asyncio.to_thread(_lines, M.astype(np.float32).astype(str))
    return send(request.reply, body, TSV)


@get(
    f"{PATH}/metadata",
    summary="What the residues are, for the projector",
    tags=TAGS,
    media_type=TSV,
    **_open_to_all((), "keys"),
)
async def get_projector_metadata(
    request: SettledRequest,
    context: FromContext,
    of: OfVectors = "embedding",
) -> Response[str]:
    """A line for each residue, under names: what the projector shows and colours by.

    `element` is its place in the operation's group, of order n. For each key frequency k:
    `turn_k`, k * element mod n, its place on the circle; `angle_k`, where it lies in the plane
    of k, in radians from 0 to 2 pi.
    """
    with context.inference.permit():
        opened, basis, M = await _vectors(context, request, of)
        keys = opened.view.keys.frequencies if opened.view.keys and basis.cyclic else []
        columns = _columns(basis, M, [k for k in keys if 2 * k < basis.order])
    rows = np.column_stack([column.astype(str) for column in columns.values()])
    return send(request.reply, _lines(np.vstack([[*columns], rows])), TSV)


async def _vectors(
    context: Context, request: SettledRequest, of: str
) -> tuple[Opened, Basis, Array]:
    """The checkpoint, its group and the vectors (order, width)."""
    opened = await open_checkpoint(context, request.target)
    basis = basis_of(opened.checkpoint.table.task)
    return opened, basis, basis.rows(await context.inference.matrix(opened.checkpoint, of))


def _columns(basis: Basis, M: Array, keys: list[int]) -> dict[str, Any]:
    """What is said of each row, (order,) by name."""
    element = np.arange(basis.order)
    found: dict[str, Any] = {"residue": basis.residues, "element": element}
    for k in keys:
        x, y = frequency_plane(M, k).T
        found[f"turn_{k}"] = k * element % basis.order
        found[f"angle_{k}"] = np.round(np.arctan2(y, x) % TURN, 6)
    return found


def _lines(cells: Any) -> bytes:
    return "".join("\t".join(row) + "\n" for row in cells.tolist()).encode()
