"""The records that object storage holds as JSON. Each carries its format version.

Readers ignore fields that they do not know, so a newer writer may add some; a changed meaning
raises FORMAT_VERSION. Bytes are written by `encode_record`, in the order of the fields below.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec

from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.task import Task

FORMAT_VERSION = 1
RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

FinalStatus = Literal["complete", "stopped", "failed"]
Status = Literal["running", "complete", "stopped", "failed"]
Measure = float | None | dict[str, float]  # a scalar, or one value a key frequency


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every published record begins with."""

    format_version: int = FORMAT_VERSION


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The task and its split, as facts: the mask itself is `split.npy`.

    All of the split is null where it is unknown: a run that others trained. Then there is no mask.
    """

    operation: str
    modulus: int
    operation_seed: int
    train_fraction: float | None  # null where the split was not drawn by a known recipe
    split_seed: int | None
    split_sha256: str | None
    train_pairs: int | None
    test_pairs: int | None


class RunManifest(Record, frozen=True, kw_only=True):
    """`run.json`: what was trained, written before the first checkpoint."""

    run: str
    created_at: datetime
    task: TaskRecord
    architecture: dict[str, Any]
    optimiser: dict[str, Any]
    seed: int | None  # null where others trained, as an empty optimiser is
    config: dict[str, Any]  # what `resume` starts from; of an imported run its layout and files
    config_sha256: str
    group: str | None = None  # what runs that are studied together share: the same rule as a name


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The ONNX file beside a manifest; `outputs` are the names it offers."""

    sha256: str
    bytes: int
    opset: int
    outputs: list[str]


class SpectrumRow(msgspec.Struct, frozen=True, kw_only=True):
    """The embedding's spectrum: `power[i]` belongs to frequency i + 1 of the run's basis.

    For s5 it belongs to irreducible representation i + 1, in the order of analysis/irreps.py.
    """

    constant_power: float
    power: list[float]


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Key frequencies with how they were chosen; margin = [last key in, first frequency out]."""

    frequencies: list[int]
    rule: str
    threshold: float | None  # null where a request named the frequencies
    source_step: int | None
    margin: tuple[float | None, float | None]


class LearningCoefficient(msgspec.Struct, frozen=True, kw_only=True):
    """The local learning coefficient by SGLD: never without its error and how it was sampled."""

    estimate: float | None  # null where it is refused
    standard_error: float | None  # over chains
    refused: str | None  # why there is no estimate
    hyperparameters: dict[str, float]
    traces: list[list[float]]  # (chains, draws): loss in nats


class CheckpointManifest(Record, frozen=True, kw_only=True):
    """`manifest.json`: the commit point of a checkpoint."""

    run: str
    step: int
    created_at: datetime
    split_sha256: str | None
    model: ModelRecord
    measures: dict[str, float | None]
    spectrum: SpectrumRow | None  # null where the model does not offer its embedding
    own_keys: KeyRecord | None = None  # this checkpoint's; a run has one set for all: Completion
    local_learning_coefficient: LearningCoefficient | None = None


class NullRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic of the final embedding against its permutation null (`analysis.nulls`)."""

    statistic: str
    permutations: int
    observed: float
    mean: float
    std: float
    max: float
    p999: float | None
    z: float | None
    p_value: float
    seed: int


class CheckpointKeyMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """The measures of one checkpoint that depend on the run's key frequencies."""

    step: int
    measures: dict[str, Measure]


class Completion(Record, frozen=True, kw_only=True):
    """`complete.json`: how the run ended. Absent while it runs or waits to be resumed.

    `keys` are chosen at the final checkpoint, once, and `checkpoints` are measured with them; null
    where the operation has no rule for key frequencies.
    """

    run: str
    created_at: datetime
    status: FinalStatus
    step: int  # the last optimiser step done
    reason: str = ""
    keys: KeyRecord | None = None
    checkpoints: list[CheckpointKeyMeasures] = []
    nulls: list[NullRecord] = []


def status_of(completion: Completion | None) -> Status:
    """How a run stands: `running` until it has a completion."""
    return completion.status if completion else "running"


class Attempt(Record, frozen=True, kw_only=True):
    """`state/attempts/N.json`: one per start of a trainer; the highest N may publish."""

    run: str
    attempt: int
    created_at: datetime


class StateRecord(Record, frozen=True, kw_only=True):
    """`state/N/SLOT.json`: what the tensors beside it are and where they were computed."""

    run: str
    attempt: int
    step: int
    created_at: datetime
    sha256: str  # of the tensors' file
    bytes: int
    environment: dict[str, str | int]  # what the bits of a result depend on


R = TypeVar("R", bound=Record)


def now() -> datetime:
    """The current UTC time to the millisecond: what `created_at` fields hold."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def task_of(manifest: RunManifest) -> Task:
    """The task of a run, as the analysis takes it. Raises CheckpointCorrupt if it is none."""
    record = manifest.task
    given = {name: getattr(record, name) for name in Task.__struct_fields__}
    try:
        return msgspec.convert(given, Task)
    except msgspec.ValidationError as error:
        raise CheckpointCorrupt(f"run {manifest.run!r} has an unknown task: {error}") from None


def check_run_name(run: str) -> str:
    """Return `run`, or raise InvalidInput if it is not a valid name."""
    return _check_name(run, "run", "run name")


def check_group_name(group: str | None) -> str | None:
    """Return `group`, or raise InvalidInput if it is neither None nor a valid name."""
    return None if group is None else _check_name(group, "group", "group's name")


def _check_name(text: str, path: str, what: str) -> str:
    if not is_name(text):
        near = slug(text).rstrip("-")
        hint = f"; {near} would do" if near else ""
        raise InvalidInput(path, f"{text!r} is not a {what}, which is {RUN_NAME.pattern}{hint}")
    return text


def slug(text: str) -> str:
    """A text as a name: `My Sweep` -> `my-sweep`; empty where nothing of it can be in one."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")[:63]


def is_name(text: str) -> bool:
    """Whether a run, or a group of runs, may be called that."""
    return RUN_NAME.fullmatch(text) is not None


def encode_record(record: Record) -> bytes:
    """The JSON bytes of a record, indented for people, newline at the end."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def decode_record(data: bytes, kind: type[R], where: str) -> R:
    """A record from its JSON bytes; `where` names the object in the error.

    Raises CheckpointCorrupt for anything that is not such a record of this format version.
    """
    try:
        record = msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise CheckpointCorrupt(f"{where} is not a {kind.__name__}: {error}") from None
    if record.format_version != FORMAT_VERSION:
        raise CheckpointCorrupt(
            f"{where} has format version {record.format_version}, this program reads "
            f"{FORMAT_VERSION}; upgrade grokprobe"
        )
    return record


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
