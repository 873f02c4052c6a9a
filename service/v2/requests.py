"""Inference requests: from bytes to pairs, checked as strictly as the rest of the API.

A body is JSON, or JSON of the length that a header gives followed by the pairs as little-endian
int64; a length of 0 says that there are only the pairs.
"""

import re
from dataclasses import dataclass

import msgspec
import numpy as np

from grokprobe.errors import InvalidInput
from grokprobe.task import Residues
from service.context import Context
from service.http.bodies import decode_body, refused
from service.v2.records import (
    InferRequest,
    InputParameters,
    InputTensor,
    RequestedOutput,
    RequestParameters,
)

JSON_LENGTH = "Inference-Header-Content-Length"
LENGTH = re.compile(r"[0-9]{1,15}")
INPUT = "$.inputs[0]"  # there is one
PAIR_BYTES = 16
SHARED_MEMORY = "shared memory is not offered; send and take data with the request"


@dataclass(frozen=True)
class PairsRequest:
    """Pairs (n, 2), not yet compared with a modulus, and what is wanted of them."""

    id: str
    pairs: Residues
    outputs: list[RequestedOutput]
    binary: bool  # for outputs that say nothing of their own


def read_request(context: Context, run: str, body: bytes, json_length: str | None) -> PairsRequest:
    """A request for a run from its body and that header. Raises InvalidInput, TooLarge."""
    request, binary = _decode(body, json_length)
    if request.model_name is not None and request.model_name != run:
        message = f"must be {run!r}, as in the path, got {request.model_name[:60]!r}"
        raise InvalidInput("$.model_name", message)
    if request.parameters.sequence_id not in (0, ""):
        raise InvalidInput("$.parameters.sequence_id", "models here keep no state; leave it out")
    tensor = _the_input(request.inputs)
    count, limit = tensor.shape[0], context.settings.max_pairs
    if count > limit:
        message = f"{count} pairs in one request, at most {limit} (GROKPROBE_MAX_PAIRS)"
        raise refused(context, "pairs", message)
    pairs = _from_json(tensor, binary) if tensor.data else _from_binary(tensor, binary)
    return PairsRequest(request.id, pairs, request.outputs, request.parameters.binary_data_output)


def _decode(body: bytes, json_length: str | None) -> tuple[InferRequest, bytes]:
    """The JSON, and the bytes that follow it."""
    if json_length is None:
        return decode_body(body, "application/json", InferRequest), b""
    if not LENGTH.fullmatch(json_length) or int(json_length) > len(body):
        message = f"must be at most the body's {len(body)} bytes, got {json_length[:40]!r}"
        raise InvalidInput(JSON_LENGTH, message)
    text, binary = body[: int(json_length)], body[int(json_length) :]
    if text:
        return decode_body(text, "application/json", InferRequest), binary
    whole = InputParameters(binary_data_size=len(binary))
    tensor = InputTensor("pairs", [len(binary) // PAIR_BYTES, 2], "INT64", whole)
    return InferRequest([tensor], parameters=RequestParameters(binary_data_output=True)), binary


def _the_input(inputs: list[InputTensor]) -> InputTensor:
    """The input `pairs`, with the datatype and a shape that it may have."""
    if len(inputs) != 1 or inputs[0].name != "pairs":
        names = ", ".join(tensor.name for tensor in inputs[:3])
        raise InvalidInput("$.inputs", f"must be one input, pairs, got {names[:60] or 'none'}")
    [tensor] = inputs
    if tensor.parameters.shared_memory_region is not None:
        raise InvalidInput(f"{INPUT}.parameters.shared_memory_region", SHARED_MEMORY)
    if tensor.datatype != "INT64":
        raise InvalidInput(f"{INPUT}.datatype", f"must be INT64, got {tensor.datatype[:40]!r}")
    if len(tensor.shape) != 2 or tensor.shape[1] != 2 or tensor.shape[0] < 1:
        message = f"must be [n, 2] for n pairs, at least one, got {tensor.shape[:4]}"
        raise InvalidInput(f"{INPUT}.shape", message)
    return tensor


def _from_json(tensor: InputTensor, binary: bytes) -> Residues:
    """Pairs of JSON data: a flat list, or a list for each pair."""
    if tensor.parameters.binary_data_size is not None or binary:
        raise InvalidInput(INPUT, "has data and binary data; give one of them")
    try:
        values = msgspec.json.decode(tensor.data, type=list[int | tuple[int, int]])
        pairs = np.array(values, dtype=np.int64)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{INPUT}.data", str(error)) from None
    except (OverflowError, ValueError):  # beyond int64; some flat and some not
        raise InvalidInput(f"{INPUT}.data", "is no list of pairs of residues") from None
    if pairs.size != 2 * tensor.shape[0]:
        message = f"holds {pairs.size} numbers, not the {2 * tensor.shape[0]} of its shape"
        raise InvalidInput(f"{INPUT}.data", message)
    return pairs.reshape(-1, 2)


def _from_binary(tensor: InputTensor, binary: bytes) -> Residues:
    """Pairs of the bytes after the JSON, which are all theirs."""
    size, needed = tensor.parameters.binary_data_size, PAIR_BYTES * tensor.shape[0]
    if size is None:
        raise InvalidInput(INPUT, "has neither data nor binary_data_size")
    if not size == needed == len(binary):
        message = (
            f"is {size} where the shape takes {needed} bytes and {len(binary)} follow the JSON, "
            f"whose length {JSON_LENGTH} gives"
        )
        raise InvalidInput(f"{INPUT}.parameters.binary_data_size", message)
    return np.frombuffer(binary, dtype="<i8").reshape(-1, 2)


def check_pairs(pairs: Residues, modulus: int) -> None:
    """Raise InvalidInput naming the first of `pairs` (n, 2) with a number outside 0..p-1."""
    outside = np.argwhere((pairs < 0) | (pairs >= modulus))
    if len(outside):
        row, column = outside[0]
        message = f"pair {row}: {pairs[row, column]} is not a residue 0..{modulus - 1}"
        raise InvalidInput(INPUT, message)
