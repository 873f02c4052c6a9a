"""The records that object storage holds as JSON. Each carries its format version.

Readers ignore fields that they do not know, so a newer writer may add some; a changed meaning
raises FORMAT_VERSION. Bytes are written by `encode_record`, in the order of the fields below, and
read by `decoding.decode_record`, which alone knows the bounds: of each value by its type here, of
values that must agree by its rules.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.store import bounds
from grokprobe.task import Operation, Seed, Task, check_task

FORMAT_VERSION = 1

FinalStatus = Literal["complete", "stopped", "failed"]
Status = Literal["running", "complete", "stopped", "failed"]
Measure = bounds.Measure


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What every published record begins with."""

    max_bytes: ClassVar[int] = 2**16
    format_version: int = FORMAT_VERSION


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The task and its split, as facts: the mask itself is `split.npy`.

    All of the split is null where it is unknown: a run that others trained. Then there is no mask.
    """

    operation: Operation
    modulus: bounds.Modulus
    operation_seed: Seed
    train_fraction: bounds.Fraction | None  # null where the split was not drawn by a known recipe
    split_seed: Seed | None
    split_sha256: bounds.Digest | None
    train_pairs: bounds.Count | None
    test_pairs: bounds.Count | None


class RunManifest(Record, frozen=True, kw_only=True):
    """`run.json`: what was trained, written before the first checkpoint."""

    max_bytes: ClassVar[int] = 2**22  # an import names each of its files

    run: bounds.RunName
    created_at: bounds.Moment
    task: TaskRecord
    architecture: dict[str, Any]
    optimiser: dict[str, Any]
    seed: bounds.Integer | None  # null where others trained, as an empty optimiser is
    config: dict[str, Any]  # what `resume` starts from; of an imported run its layout and files
    config_sha256: bounds.Digest
    group: bounds.RunName | None = None  # what runs that are studied together share


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The ONNX file beside a manifest; `outputs` are the names it offers."""

    sha256: bounds.Digest
    bytes: bounds.ModelBytes
    opset: bounds.Count
    outputs: bounds.Words


class PredictionsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions of all pairs beside a model (`archive.predictions`)."""

    sha256: bounds.Digest
    bytes: bounds.PredictionsBytes


class SpectrumRow(msgspec.Struct, frozen=True, kw_only=True):
    """The embedding's spectrum: `power[i]` belongs to frequency i + 1 of the run's basis.

    For s5 it belongs to irreducible representation i + 1, in the order of analysis/irreps.py.
    """

    constant_power: bounds.Number
    power: bounds.Powers


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Key frequencies with how they were chosen; margin = [last key in, first frequency out]."""

    frequencies: bounds.Frequencies
    rule: bounds.Word
    threshold: bounds.Number | None  # null where a request named the frequencies
    source_step: bounds.Step | None
    margin: tuple[bounds.Number | None, bounds.Number | None]


class LearningCoefficient(msgspec.Struct, frozen=True, kw_only=True):
    """The local learning coefficient by SGLD: never without its error and how it was sampled."""

    estimate: bounds.Number | None  # null where it is refused
    standard_error: bounds.Number | None  # over chains
    refused: bounds.Text | None  # why there is no estimate
    hyperparameters: bounds.Numbers
    traces: bounds.Traces  # (chains, draws): loss in nats


class CheckpointManifest(Record, frozen=True, kw_only=True):
    """`manifest.json`: the commit point of a checkpoint."""

    max_bytes: ClassVar[int] = 2**24  # most of it the traces of 64 chains of 4096 draws

    run: bounds.RunName
    step: bounds.Step
    created_at: bounds.Moment
    split_sha256: bounds.Digest | None
    model: ModelRecord
    measures: bounds.Measures
    spectrum: SpectrumRow | None  # null where the model does not offer its embedding
    own_keys: KeyRecord | None = None  # this checkpoint's; a run has one set for all: Completion
    local_learning_coefficient: LearningCoefficient | None = None
    predictions: PredictionsRecord | None = None  # null if older: they are inferred


class NullRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A statistic of the final embedding against its permutation null (`analysis.nulls`)."""

    statistic: bounds.Word
    permutations: bounds.Count
    observed: bounds.Number
    mean: bounds.Number
    std: bounds.Number
    max: bounds.Number
    p999: bounds.Number | None
    z: bounds.Number | None
    p_value: bounds.Fraction
    seed: Seed


class CheckpointKeyMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """The measures of one checkpoint that depend on the run's key frequencies."""

    step: bounds.Step
    measures: bounds.KeyMeasures


class Completion(Record, frozen=True, kw_only=True):
    """`complete.json`: how the run ended. Absent while it runs or waits to be resumed.

    `keys`, null without a rule, are chosen once, at the end; `checkpoints` are measured with them.
    """

    max_bytes: ClassVar[int] = 2**26  # it has measures of every checkpoint
    run: bounds.RunName
    created_at: bounds.Moment
    status: FinalStatus
    step: bounds.Step  # the last optimiser step done
    reason: bounds.Text = ""
    keys: KeyRecord | None = None
    checkpoints: list[CheckpointKeyMeasures] = []
    nulls: Annotated[list[NullRecord], msgspec.Meta(max_length=100)] = []
    manifests_sha256: bounds.Digest | None = None  # of all (`archive.contents`); null if older


def status_of(completion: Completion | None) -> Status:
    """How a run stands: `running` until it has a completion."""
    return completion.status if completion else "running"


class Attempt(Record, frozen=True, kw_only=True):
    """`state/attempts/N.json`: one per start of a trainer; the highest N may publish."""

    run: bounds.RunName
    attempt: bounds.Count
    created_at: bounds.Moment


class StateRecord(Record, frozen=True, kw_only=True):
    """`state/N/SLOT.json`: what the tensors beside it are and where they were computed."""

    run: bounds.RunName
    attempt: bounds.Count
    step: bounds.Step
    created_at: bounds.Moment
    sha256: bounds.Digest  # of the tensors' file
    bytes: bounds.StateBytes
    environment: bounds.Facts  # what the bits of a result depend on


def now() -> datetime:
    """The current UTC time to the millisecond: what `created_at` fields hold."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def task_of(manifest: RunManifest) -> Task:
    """The task of a run, as the analysis takes it. Raises CheckpointCorrupt if it is none."""
    record = manifest.task
    given = {name: getattr(record, name) for name in Task.__struct_fields__}
    try:
        task = msgspec.convert(given, Task)
        check_task(task)
    except (msgspec.ValidationError, InvalidInput) as error:
        raise CheckpointCorrupt(f"run {manifest.run!r} has an unknown task: {error}") from None
    return task


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
        rule = bounds.RUN_NAME.pattern
        raise InvalidInput(path, f"{text!r} is not a {what}, which is {rule}{hint}")
    return text


def slug(text: str) -> str:
    """A text as a name: `My Sweep` -> `my-sweep`; empty where nothing of it can be in one."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")[:63]


def is_name(text: str) -> bool:
    """Whether a run, or a group of runs, may be called that."""
    return bounds.RUN_NAME.fullmatch(text) is not None


def encode_record(record: Record) -> bytes:
    """The JSON bytes of a record, indented for people, newline at the end."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
