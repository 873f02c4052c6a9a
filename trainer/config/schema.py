"""The configuration of a run: a TOML file, its sections, its limits, its digest.

The defaults are canonical runs (docs/maths.md, "Canonical runs"): of the task, the transformer and
the training Nanda et al. 2023, of the MLP Gromov 2023. One section a family of networks, told
apart by `family`; what a network computes stands at the top of its file in models/.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.store.records import check_run_name, slug
from grokprobe.task import Operation, Seed, Task, split
from trainer.config import toml as sections
from trainer.config.toml import Section, Sources

Positive = Annotated[int, msgspec.Meta(gt=0, le=65_536)]
MOST_LAYERS = 12
Layers = Annotated[int, msgspec.Meta(ge=1, le=MOST_LAYERS)]
Activation = Literal["relu", "gelu", "quadratic"]


class TransformerShape(Section, frozen=True, kw_only=True):
    """What the shapes of a transformer's weights do not tell (models/transformer.py, layered.py).

    `causal` matters to several layers alone: of the last one only the last position is read.
    `layer_norm` is before attention and MLP, with another one before the unembedding ("pre"), or
    after each is added to the residual ("post").
    """

    tokens: Literal["a b =", "a b"] = "a b ="
    activation: Activation = "relu"
    attention_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    attention_scale: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | Literal["1/sqrt(d_head)"] = (
        "1/sqrt(d_head)"
    )
    causal: bool = True
    layer_norm: Literal["none", "pre", "post"] = "none"


class TransformerSection(
    TransformerShape, frozen=True, kw_only=True, tag_field="family", tag="transformer"
):
    """A transformer; `heads * d_head` need not equal `d_model`."""

    vocabularies: Literal["shared", "separate"] = "shared"  # one for both operands, or one each
    layers: Layers = 1
    d_model: Positive = 128
    heads: Positive = 4
    d_head: Positive = 32
    d_mlp: Positive = 512
    biases: Literal["none", "mlp", "all"] = "mlp"
    initialisation: Literal["mainline", "pizza", "pytorch"] = "mainline"  # models/initial.py


class MLPSection(Section, frozen=True, kw_only=True, tag_field="family", tag="mlp"):
    """A network of one hidden layer (models/mlp.py)."""

    inputs: Literal["one-hot", "embedding"] = "one-hot"
    join: Literal["concatenate", "add"] = "concatenate"
    vocabularies: Literal["shared", "separate"] = "shared"  # one for both operands, or one each
    activation: Activation = "quadratic"
    d_model: Positive = 128  # of an embedding; one-hot inputs have none
    d_mlp: Positive = 500
    biases: Literal["none", "all"] = "none"
    initialisation: Literal["gromov", "pytorch"] = "gromov"  # models/initial.py


ModelSection = TransformerSection | MLPSection


def architecture(section: ModelSection) -> dict[str, Any]:
    """A model section as `run.json` tells it: one-hot inputs have no embedding, so no d_model."""
    facts: dict[str, Any] = msgspec.to_builtins(section)
    if isinstance(section, MLPSection) and section.inputs == "one-hot":
        del facts["d_model"]
    return facts


PRESETS = Path(__file__).parent / "presets"

MOST_CHECKPOINTS = 50_000  # of a run: `complete.json` has measures of each
Count = Annotated[int, msgspec.Meta(ge=0, le=65_536)]
Step = Annotated[int, msgspec.Meta(ge=0, lt=10**10)]  # ten digits in an object's name
Moment = Annotated[float, msgspec.Meta(ge=0, lt=1)]


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


class OptimiserSection(Section, frozen=True, kw_only=True):
    """How gradients become updates (learning/optimisers.py) and what is done to them before."""

    name: Literal["adamw", "sgd", "muon"] = "adamw"
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1.0
    betas: tuple[Moment, Moment] = (0.9, 0.98)  # of adamw, and of what muon leaves to it
    momentum: Moment = 0.95  # of sgd and muon
    warmup_steps: Count = 10
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # after the warm-up, to 0
    grokfast_lamb: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0  # 0: off
    grokfast_alpha: Moment = 0.98
    orthograd: bool = False


class TrainingSection(Section, frozen=True, kw_only=True):
    """How long, from which initial weights, on which device."""

    steps: Annotated[int, msgspec.Meta(gt=0, lt=10**10)] = 12_000
    settle_steps: Step = 0  # stop once generalised for so many; 0: never
    seed: Seed = 0
    loss: Literal["cross_entropy", "mse", "stablemax"] = "cross_entropy"
    batch: Count = 0  # train pairs of an update, half of all at most; 0: all
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"  # of products; losses: float64
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0  # 0: the faster (threads.py)


class CheckpointSection(Section, frozen=True, kw_only=True):
    """Which steps are published (publishing/schedule.py) and how many may wait for it."""

    every: Annotated[int, msgspec.Meta(gt=0, lt=10**10)] = 100
    log_spaced: Count = 10  # points between step 1 and `every`, evenly spaced in log(step)
    dense: list[tuple[Step, Step, Annotated[int, msgspec.Meta(gt=0)]]] = msgspec.field(
        default_factory=list  # (from, to, every)
    )
    # 0: off (publishing/accuracy_rules.py)
    transition_change: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    transition_every: Annotated[int, msgspec.Meta(gt=0, lt=10**10)] = 10
    transition_keep: Annotated[int, msgspec.Meta(gt=0, le=4096)] = 32  # snapshots in memory
    queue: Positive = 8  # checkpoints that may wait for the publisher before training does


class LearningCoefficientSection(Section, frozen=True, kw_only=True):
    """When and how measuring/learning_coefficient.py samples the local learning coefficient."""

    every: Step = 0  # 0: never; N: published multiples of N and the last step
    chains: Annotated[int, msgspec.Meta(ge=2, le=64)] = 8
    draws: Annotated[int, msgspec.Meta(ge=8, le=4096)] = 400  # of each chain
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 5e-6  # eps
    localisation: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 1e4  # gamma
    n_beta: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = 0.0  # 0: n / ln n, n the train pairs
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0  # manifests hold it as a float


class Config(Section, frozen=True, kw_only=True):
    """A whole configuration: what `run.json` carries and `resume` starts from."""

    task: TaskSection = TaskSection()
    model: ModelSection = TransformerSection()
    optimiser: OptimiserSection = OptimiserSection()
    training: TrainingSection = TrainingSection()
    checkpoints: CheckpointSection = CheckpointSection()
    local_learning_coefficient: LearningCoefficientSection = LearningCoefficientSection()

    @property
    def train_pairs(self) -> int:
        """How many pairs the split draws for training."""
        return int(split(self.task.task, self.task.train_fraction, self.task.split_seed).sum())

    def batch_size(self, pairs: int) -> int:
        """Train pairs of an update: `training.batch`, at most half of all; all where it is 0."""
        return min(self.training.batch, pairs // 2) or pairs

    @property
    def sha256(self) -> str:
        """The digest of the configuration: SHA-256 of its JSON with sorted keys."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


def _check(config: Config) -> None:
    """Check what no single field's limits can. Raises InvalidInput with the dotted field."""
    try:
        split(config.task.task, config.task.train_fraction, config.task.split_seed)
    except InvalidInput as error:
        raise InvalidInput(f"task.{error.path}", error.message) from None
    for start, end, _ in config.checkpoints.dense:
        if start > end:
            raise InvalidInput("checkpoints.dense", f"no step lies in the window {start} to {end}")
    if (due := _most_checkpoints(config)) > MOST_CHECKPOINTS:
        message = f"ask for up to {due} checkpoints; a run has at most {MOST_CHECKPOINTS}"
        raise InvalidInput("checkpoints", message)


def _most_checkpoints(config: Config) -> int:
    """How many steps may be published, without making the list of them."""
    asked, steps = config.checkpoints, config.training.steps
    dense = sum(len(range(start, min(end, steps) + 1, n)) for start, end, n in asked.dense)
    return asked.log_spaced + steps // asked.every + dense


def decode_config(raw: Mapping[str, Any], source: str, sources: Sources | None = None) -> Config:
    """A configuration from plain tables. Raises InvalidInput (sections.decode_sections)."""
    return sections.decode_sections(raw, Config, _check, source, sources)


def preset(name: str) -> Path:
    """The file of a preset. Raises InvalidInput that lists the presets."""
    return sections.shipped(name, PRESETS, "preset")


def load_config(path: Path, assignments: Iterable[str] = ()) -> Config:
    """A configuration from a TOML file, with `section.field=value` assignments on top.

    Raises InvalidInput that names the file, or `--set`, and the dotted field.
    """
    raw, sources = sections.read_toml(path, assignments)
    return decode_config(raw, path.name, sources)


def name_of(stem: str) -> str:
    """A file's stem as a run's name, or its beginning: `My Sweep` -> `my-sweep`."""
    return slug(stem) or "run"


def default_run_name(stem: str, config: Config) -> str:
    """`STEM-sSEED-CONFIG8`: the same configuration always gets the same name."""
    ending = f"-s{config.training.seed}-{config.sha256[:8]}"
    return check_run_name(name_of(stem)[: 63 - len(ending)] + ending)
