"""Outputs: which, of what shape, and as JSON, as bytes, or as the largest of each row."""

import math
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from grokprobe.task import Residues
from service.context import Context
from service.http.bodies import refused
from service.inference.batching import INLINE_PAIRS
from service.inference.checkpoints import Checkpoint
from service.v2.records import BinarySize, InferAnswer, OutputTensor, RequestedOutput
from service.v2.requests import SHARED_MEMORY, PairsRequest

# Numbers in one answer: 64 MiB in binary; encoding more in JSON would keep everybody else waiting.
MAX_NUMBERS, MAX_JSON_NUMBERS = 2**24, 2_000_000
# At most, while they are made: parts, array, tensor, body; text as objects and twice as text;
# classes besides them the order of all and each one's name.
BINARY_BYTES, JSON_BYTES, ORDER_BYTES, CLASS_BYTES = 16, 80, 12, 250

OutputValues = NDArray[np.float32]


@dataclass(frozen=True)
class Wanted:
    """An output as it is to be given; `classes` are the largest values of each row."""

    name: str
    shape: list[int]
    binary: bool
    classes: int | None

    def size(self, pairs: int, width: int) -> int:
        """The numbers in it for a last dimension of `width`."""
        return math.prod(pairs if size < 0 else size for size in [*self.shape[:-1], width])


def choose_outputs(context: Context, checkpoint: Checkpoint, request: PairsRequest) -> list[Wanted]:
    """What a request wants of a checkpoint: all of its outputs if it names none.

    Raises OutputMissing, InvalidInput, TooLarge.
    """
    if len({output.name for output in request.outputs}) < len(request.outputs):
        raise InvalidInput("$.outputs", "names an output more than once")
    named = request.outputs or [RequestedOutput(name) for name in checkpoint.shapes]
    wanted = [_wanted(checkpoint, output, request.binary, i) for i, output in enumerate(named)]
    _check_size(context, wanted, len(request.pairs))
    return wanted


def _wanted(checkpoint: Checkpoint, output: RequestedOutput, binary: bool, i: int) -> Wanted:
    checkpoint.check([output.name])
    how, shape = output.parameters, checkpoint.shapes[output.name]
    place = f"$.outputs[{i}].parameters"
    if how.shared_memory_region is not None:
        raise InvalidInput(f"{place}.shared_memory_region", SHARED_MEMORY)
    if how.classification is not None and how.classification > shape[-1]:
        message = f"must be at most {shape[-1]} for {output.name}, got {how.classification}"
        raise InvalidInput(f"{place}.classification", message)
    own = binary if how.binary_data is None else how.binary_data
    return Wanted(output.name, shape, own, how.classification)


def _check_size(context: Context, wanted: list[Wanted], pairs: int) -> None:
    """Raise TooLarge, counted, for too many numbers to compute, or to write as text."""
    computed = sum(o.size(pairs, o.shape[-1]) for o in wanted)
    written = sum(
        o.size(pairs, o.classes or o.shape[-1]) for o in wanted if o.classes or not o.binary
    )
    for numbers, limit, where in (
        (written, MAX_JSON_NUMBERS, "in JSON or classes"),
        (computed, MAX_NUMBERS, "in all"),
    ):
        if numbers > limit:
            message = f"the answer would take {numbers:,} numbers, at most {limit:,} {where}"
            raise refused(context, "values", f"{message}: ask for fewer pairs or outputs")


@asynccontextmanager
async def reserved(
    context: Context, checkpoint: Checkpoint, wanted: list[Wanted], pairs: int
) -> AsyncIterator[None]:
    """Hold the memory that computing and writing takes; a small answer's is its permit's.

    Raises NeverFits, MemoryBusy.
    """
    if pairs <= INLINE_PAIRS:
        yield
        return
    need = context.inference.runs_bytes(checkpoint)
    for output in wanted:
        numbers = output.size(pairs, output.shape[-1])
        need += numbers * BINARY_BYTES
        if output.classes:
            need += numbers * ORDER_BYTES + output.size(pairs, output.classes) * CLASS_BYTES
        elif not output.binary:
            need += numbers * JSON_BYTES
    names = " and ".join(output.name for output in wanted)
    async with context.inference.memory.reserve(need, f"{names} of {pairs:,} pairs"):
        yield


async def compute(
    context: Context, checkpoint: Checkpoint, wanted: list[Wanted], pairs: Residues
) -> dict[str, OutputValues]:
    """The wanted outputs by name."""
    names = [output.name for output in wanted]
    return dict(zip(names, await context.inference.outputs(checkpoint, names, pairs), strict=True))


def encode_outputs(
    answer: InferAnswer, wanted: list[Wanted], found: dict[str, OutputValues]
) -> tuple[bytes, int | None]:
    """The body of an answer with these outputs; with binary ones, the length of its JSON too."""
    tensors = [_tensor(output, found[output.name]) for output in wanted]
    answer.outputs = [tensor for tensor, _ in tensors]
    text = msgspec.json.encode(answer)
    if not any(output.binary for output in wanted):
        return text, None
    return b"".join([text, *(part for _, part in tensors)]), len(text)


def _tensor(output: Wanted, values: OutputValues) -> tuple[OutputTensor, bytes]:
    """An output's record, and what follows the JSON of it."""
    content: list[Any] | bytes
    if output.classes is None:
        tensor = OutputTensor(output.name, "FP32", list(values.shape))
        values = values.astype("<f4", copy=False)
        content = values.tobytes() if output.binary else values.ravel().tolist()
    else:
        tensor = OutputTensor(output.name, "BYTES", [*values.shape[:-1], output.classes])
        classes = list(_classify(values, output.classes))
        content = _bytes_tensor(classes) if output.binary else classes
    if isinstance(content, bytes):
        tensor.parameters = BinarySize(len(content))
        return tensor, content
    tensor.data = content
    return tensor, b""


def _classify(values: OutputValues, count: int) -> Iterator[str]:
    """`value:index` of the largest values of each row, largest first; ties: lowest index."""
    order = np.argsort(-values, axis=-1, kind="stable")[..., :count]
    largest = np.take_along_axis(values, order, axis=-1)
    for value, index in zip(largest.ravel(), order.ravel(), strict=True):
        yield f"{value!s}:{index}"


def _bytes_tensor(elements: list[str]) -> bytes:
    """BYTES in binary: each element's length in four bytes, then its own."""
    encoded = (element.encode() for element in elements)
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)
