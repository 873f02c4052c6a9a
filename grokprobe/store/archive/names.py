"""Where everything lies in object storage (DESIGN, "Publication"). Strings only, no I/O.

runs/RUN/run.json, split.npy, complete.json, deleted.json
runs/RUN/checkpoints/STEP10/model.onnx, predictions.npy, manifest.json
                                                           STEP10 = ten digits, zero padded
runs/RUN/state/attempts/N.json
runs/RUN/state/N/SLOT.safetensors, SLOT.json               of attempt N, SLOT 0 and 1 taking turns
"""

import re

RUNS = "runs"

# Exactly these: what lies deeper, or is written in other digits, is not where its number says.
_RUN, _NUMBER = f"{RUNS}/[^/]+", "([1-9][0-9]{0,8})"
_MANIFEST = re.compile(_RUN + r"/checkpoints/([0-9]{10})/manifest\.json")
_STATE_FILE = re.compile(_RUN + f"/state/{_NUMBER}/[^/]+")
_STATE = re.compile(_RUN + f"/state/{_NUMBER}" + r"/([01])\.json")
_ATTEMPT = re.compile(_RUN + f"/state/attempts/{_NUMBER}" + r"\.json")


def run_prefix(run: str) -> str:
    """The folder that holds everything of a run; no slash at the end."""
    return f"{RUNS}/{run}"


def run_path(run: str) -> str:
    """The path of the RunManifest: the commit point of a run."""
    return f"{run_prefix(run)}/run.json"


def split_path(run: str) -> str:
    """The path of the train mask."""
    return f"{run_prefix(run)}/split.npy"


def completion_path(run: str) -> str:
    """The path of the Completion."""
    return f"{run_prefix(run)}/complete.json"


def tombstone_path(run: str) -> str:
    """The path of the Tombstone of a deleted run."""
    return f"{run_prefix(run)}/deleted.json"


def checkpoints_prefix(run: str) -> str:
    """The folder of all checkpoints of a run."""
    return f"{run_prefix(run)}/checkpoints"


def model_path(run: str, step: int) -> str:
    """The path of the ONNX file of a checkpoint."""
    return f"{checkpoints_prefix(run)}/{step:010d}/model.onnx"


def predictions_path(run: str, step: int) -> str:
    """The path of what a checkpoint answers to every pair."""
    return f"{checkpoints_prefix(run)}/{step:010d}/predictions.npy"


def manifest_path(run: str, step: int) -> str:
    """The path of the CheckpointManifest: the commit point of a checkpoint."""
    return f"{checkpoints_prefix(run)}/{step:010d}/manifest.json"


def state_prefix(run: str) -> str:
    """The folder that is private to the trainer."""
    return f"{run_prefix(run)}/state"


def attempts_prefix(run: str) -> str:
    """The folder of the attempts of a run."""
    return f"{state_prefix(run)}/attempts"


def attempt_path(run: str, attempt: int) -> str:
    """The path of the Attempt that a start of a trainer writes."""
    return f"{attempts_prefix(run)}/{attempt}.json"


def training_state_prefix(run: str, attempt: int) -> str:
    """The folder of an attempt's training state."""
    return f"{state_prefix(run)}/{attempt}"


def training_state_path(run: str, attempt: int, slot: int) -> str:
    """The path of the tensors of a training state."""
    return f"{training_state_prefix(run, attempt)}/{slot}.safetensors"


def state_record_path(run: str, attempt: int, slot: int) -> str:
    """The path of the StateRecord: the commit point of a training state."""
    return f"{training_state_prefix(run, attempt)}/{slot}.json"


def step_of(path: str) -> int | None:
    """The step whose manifest lies at `path`; None where something else lies."""
    return _number(_MANIFEST, path)


def state_attempt_of(path: str) -> int | None:
    """The attempt whose training state the object at `path` belongs to; None for others."""
    return _number(_STATE_FILE, path)


def slot_of(path: str) -> tuple[int, int] | None:
    """The attempt and the slot of the StateRecord at `path`; None where something else lies."""
    match = _STATE.fullmatch(path)
    return (int(match[1]), int(match[2])) if match else None


def attempt_of(path: str) -> int | None:
    """The number of the attempt that lies at `path`; None where something else lies."""
    return _number(_ATTEMPT, path)


def _number(pattern: re.Pattern[str], path: str) -> int | None:
    match = pattern.fullmatch(path)
    return int(match[1]) if match else None
