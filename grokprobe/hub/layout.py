"""What lies where in a repository of the hub.

    branch stepN       run.json, manifest.json, model.onnx, predictions.npy, model.safetensors,
                       digests.json
    main               the same of the last step, split.npy, complete.json, README.md, pictures
    tags               memorised, generalised: on the commits of those steps' branches

What object storage holds lies there byte for byte; digests.json has the SHA-256 of each file
beside it. Only these names are ever asked for: what others put beside them is left there.
"""

import re

import msgspec

from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.store.archive.split import SPLIT_MAX_BYTES
from grokprobe.store.records import CheckpointManifest, Completion, RunManifest, sha256
from grokprobe.task import MAX_MODULUS

RUN, SPLIT, COMPLETION = "run.json", "split.npy", "complete.json"
MANIFEST, MODEL, PREDICTIONS = "manifest.json", "model.onnx", "predictions.npy"
SAFETENSORS, CARD, DIGESTS = "model.safetensors", "README.md", "digests.json"
PICTURES = ("circle.png", "trajectory.png")
MAIN = "main"

OWN_BYTES = 2**22  # of a card, a picture, a list of digests
WEIGHTS = (MODEL, SAFETENSORS)  # whose bound is a setting
BYTES = {
    RUN: RunManifest.max_bytes,
    SPLIT: SPLIT_MAX_BYTES,
    COMPLETION: Completion.max_bytes,
    MANIFEST: CheckpointManifest.max_bytes,
    PREDICTIONS: 2 * MAX_MODULUS**2 + 2**12,
    **dict.fromkeys((CARD, DIGESTS, *PICTURES), OWN_BYTES),
}
NAMES = (*BYTES, *WEIGHTS)

_REPOSITORY = re.compile(r"hf://(\w[\w.-]*/\w[\w.-]*)", re.ASCII)
_BRANCH = re.compile(r"step(0|[1-9][0-9]{0,9})", re.ASCII)


def repository_of(address: str) -> str:
    """ORG/NAME of an address. Raises InvalidInput for what is none."""
    match = _REPOSITORY.fullmatch(address)
    if match is None or ".." in address or "--" in address:
        raise InvalidInput(address, "is not hf://ORG/NAME")
    return match[1]


def branch_of(step: int) -> str:
    """The branch of a step: `step4400`."""
    return f"step{step}"


def step_of(branch: str) -> int | None:
    """The step of a branch; None for any other branch."""
    match = _BRANCH.fullmatch(branch)
    return int(match[1]) if match else None


def encode_digests(files: dict[str, bytes]) -> bytes:
    """The bytes of digests.json for these files."""
    found = {name: sha256(data) for name, data in sorted(files.items())}
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


def decode_digests(data: bytes, where: str) -> dict[str, str]:
    """SHA-256 by name, of names that are ours. Raises CheckpointCorrupt."""
    try:
        found = msgspec.json.decode(data, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CheckpointCorrupt(f"{where} {DIGESTS} is no list of digests") from None
    if strange := sorted(set(found) - set(NAMES)):
        raise CheckpointCorrupt(f"{where} {DIGESTS} names {strange[0]!r:.80}, no file of a run")
    return found
