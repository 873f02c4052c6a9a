"""The configuration of a run: a TOML file, its sections, its limits, its digest.

The defaults are the canonical mainline (MATHS, "Canonical runs"): Nanda et al. 2023.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.store.manifest import check_run_name
from grokprobe.task import Operation, Seed, Task, split

BARE_WORD = re.compile(r"[A-Za-z][\w+.-]*", re.ASCII)
PRESETS = Path(__file__).parent / "presets"

Positive = Annotated[int, msgspec.Meta(gt=0, le=65_536)]
Count = Annotated[int, msgspec.Meta(ge=0, le=65_536)]
Step = Annotated[int, msgspec.Meta(ge=0, lt=10**10)]  # ten digits in an object's name
Moment = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

Tokens = Literal["a b =", "a b"]
Activation = Literal["relu", "gelu", "quadratic"]
AttentionScale = Annotated[float, msgspec.Meta(gt=0)] | Literal["1/sqrt(d_head)"]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every section is: immutable, no fields but its own."""


class TaskSection(Section, frozen=True, kw_only=True):
    """Which table is learned, and which part of it the network sees."""

    operation: Operation = "add"
    modulus: int = 113
    operation_seed: Seed = 0  # matters to the operation `random` alone
    train_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.3
    split_seed: Seed = 0

    @property
    def task(self) -> Task:
        """The task without its split."""
        return Task(
            operation=self.operation, modulus=self.modulus, operation_seed=self.operation_seed
        )


class ModelSection(Section, frozen=True, kw_only=True):
    """The network (models/transformer.py); `heads * d_head` need not equal `d_model`."""

    family: Literal["transformer"] = "transformer"
    tokens: Tokens = "a b ="
    d_model: Positive = 128
    heads: Positive = 4
    d_head: Positive = 32
    d_mlp: Positive = 512
    activation: Activation = "relu"
    biases: Literal["none", "mlp", "all"] = "mlp"  # all: of queries, keys, values, W_O, W_U too
    attention_rate: Share = 1.0
    attention_scale: AttentionScale = "1/sqrt(d_head)"


class OptimiserSection(Section, frozen=True, kw_only=True):
    """AdamW on the full batch; the learning rate rises linearly over the first updates."""

    name: Literal["adamw"] = "adamw"
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1.0
    betas: tuple[Moment, Moment] = (0.9, 0.98)
    warmup_steps: Count = 10


class TrainingSection(Section, frozen=True, kw_only=True):
    """How long, from which initial weights, on which device."""

    steps: Annotated[int, msgspec.Meta(gt=0, lt=10**10)] = 12_000
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0  # 0: what torch chooses


class CheckpointSection(Section, frozen=True, kw_only=True):
    """Which steps are published (schedule.py) and how many may wait for it."""

    every: Annotated[int, msgspec.Meta(gt=0, lt=10**10)] = 100
    log_spaced: Count = 10  # points between step 1 and `every`, evenly spaced in log(step)
    dense: list[tuple[Step, Step, Annotated[int, msgspec.Meta(gt=0)]]] = []  # (from, to, every)
    queue: Positive = 8  # checkpoints that may wait for the publisher before training does


class Config(Section, frozen=True, kw_only=True):
    """A whole configuration: what `run.json` carries and `resume` starts from."""

    task: TaskSection = TaskSection()
    model: ModelSection = ModelSection()
    optimiser: OptimiserSection = OptimiserSection()
    training: TrainingSection = TrainingSection()
    checkpoints: CheckpointSection = CheckpointSection()

    @property
    def sha256(self) -> str:
        """The digest of the configuration: SHA-256 of its JSON with sorted keys."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def _unknown(name: str, known: Iterable[str], what: str) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"is not a {what}; {hint}"


def _check_fields(raw: Mapping[str, Any], sources: Mapping[str, str], source: str) -> None:
    """Raise InvalidInput for the first key that no section has."""
    for section in raw:
        if section not in Config.__struct_fields__:
            message = _unknown(section, Config.__struct_fields__, "section")
            raise InvalidInput(f"{sources.get(section, source)}: {section}", message)
        if not isinstance(raw[section], dict):
            raise InvalidInput(f"{source}: {section}", "is a section, write its fields under it")
        known = getattr(Config(), section).__struct_fields__
        for key in raw[section]:
            if key not in known:
                field = f"{section}.{key}"
                message = _unknown(key, known, f"field of [{section}]")
                raise InvalidInput(f"{sources.get(field, source)}: {field}", message)


# Where the decoder's own words would not tell a person what to write.
CHOICES = {
    "model.family": "transformer",
    "optimiser.name": "adamw",
    "training.device": "auto, cpu or cuda",
}


def _complaint(error: msgspec.ValidationError, raw: Mapping[str, Any]) -> tuple[str, str]:
    """The dotted field and the message of a msgspec error ("... - at `$.section.field`")."""
    message, _, place = str(error).partition(" - at `$.")
    field = place.rstrip("`").partition("[")[0]  # of a list, the whole is shown below
    section, _, key = field.partition(".")
    message = f"{message[0].lower()}{message[1:]}".replace("`", "")
    if field == "task.operation":
        message = f"unknown operation, known: {', '.join(get_args(Operation))}"
    elif field in CHOICES:
        message = f"must be {CHOICES[field]}"
    given = raw.get(section, {}).get(key)
    return field, f"{message}, got {given!r}" if given is not None else message


def _check(config: Config) -> None:
    """What no single field's limits can say. Raises InvalidInput with the dotted field."""
    try:
        split(config.task.task, config.task.train_fraction, config.task.split_seed)
    except InvalidInput as error:
        raise InvalidInput(f"task.{error.path}", error.message) from None
    for start, end, _ in config.checkpoints.dense:
        if start > end:
            raise InvalidInput("checkpoints.dense", f"no step lies in the window {start} to {end}")


def decode(raw: Mapping[str, Any], source: str, sources: Mapping[str, str] | None = None) -> Config:
    """A configuration from plain tables.

    `source` names where the tables come from, `sources` where single dotted fields do.
    Raises InvalidInput that names the source and the dotted field.
    """
    sources = sources or {}
    _check_fields(raw, sources, source)
    try:
        config = msgspec.convert(raw, Config)
        _check(config)
    except msgspec.ValidationError as error:
        field, message = _complaint(error, raw)
    except InvalidInput as error:
        field, message = error.path, error.message
    else:
        return config
    raise InvalidInput(f"{sources.get(field, source)}: {field}", message)


def _assignment(text: str) -> tuple[str, str, Any]:
    """`optimiser.weight_decay=0.5` -> (section, field, value)."""
    name, equals, value = text.partition("=")
    section, dot, field = name.strip().partition(".")
    if not (equals and dot):
        raise InvalidInput(f"--set {text}", "must read section.field=value")
    try:
        return section, field, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        if BARE_WORD.fullmatch(value.strip()):  # the shell eats the quotes that TOML wants
            return section, field, value.strip()
        raise InvalidInput(f"--set {text}", "is neither a TOML value nor a plain word") from None


def preset(name: str) -> Path:
    """The file of a preset. Raises InvalidInput that lists the presets."""
    known = {path.stem: path for path in PRESETS.glob("*.toml")}
    if name not in known:
        raise InvalidInput(f"--preset {name}", _unknown(name, known, "preset"))
    return known[name]


def load(path: Path, assignments: Iterable[str] = ()) -> Config:
    """A configuration from a TOML file, with `section.field=value` assignments on top.

    Raises InvalidInput that names the file, or `--set`, and the dotted field.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), f"is not TOML: {error}") from None
    sources = {}
    for text in assignments:
        section, field, value = _assignment(text)
        sources[section] = sources[f"{section}.{field}"] = "--set"
        table = raw.setdefault(section, {})
        if isinstance(table, dict):  # if not, decode says so
            table[field] = value
    return decode(raw, path.name, sources)


def default_run_name(stem: str, config: Config) -> str:
    """`STEM-sSEED-CONFIG8`: the same configuration always gets the same name."""
    ending = f"-s{config.training.seed}-{config.sha256[:8]}"
    slug = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).lstrip("._-") or "run"
    return check_run_name(slug[: 63 - len(ending)] + ending)
