"""The JSON of answers about the inside of one checkpoint, and the request for predictions."""

from typing import Annotated, Any, Literal

import msgspec

from grokprobe.analysis.nulls import Null
from grokprobe.store.manifest import KeyRecord, LearningCoefficient, Measure

Of = Literal["embedding", "unembedding", "neuron_logit_map", "logits"]
Projection = Literal["frequency", "pca", "raw"]
Extra = Literal["logits", "attention", "neurons"]
Part = Literal["train", "test"]

Residue = Annotated[int, msgspec.Meta(ge=0)]


# -- predictions ---------------------------------------------------------------------------------


class PredictionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Pairs of residues; `top` likeliest residues of each; extra outputs to include."""

    pairs: Annotated[list[tuple[Residue, Residue]], msgspec.Meta(min_length=1)]
    top: Annotated[int, msgspec.Meta(ge=0)] = 0
    include: list[Extra] = []


class TopResidue(msgspec.Struct):
    """One of the likeliest residues."""

    residue: int
    probability: float


class Prediction(msgspec.Struct, omit_defaults=True):
    """What the model says of a pair; null answer, correct, loss, split where none is defined."""

    a: int
    b: int
    predicted: int
    answer: int | None
    correct: bool | None
    probability: float
    loss: float | None
    split: Part | None
    top: list[TopResidue] | msgspec.UnsetType = msgspec.UNSET
    logits: list[float] | msgspec.UnsetType = msgspec.UNSET
    attention: list[list[float]] | msgspec.UnsetType = msgspec.UNSET
    neurons: list[float] | msgspec.UnsetType = msgspec.UNSET


class PredictionAnswer(msgspec.Struct):
    """Predictions in the order of the pairs asked for."""

    run: str
    step: int
    operation: str
    modulus: int
    predictions: list[Prediction]


class LogitsAnswer(msgspec.Struct):
    """Logits of all pairs: row a*p + b, column the residue."""

    run: str
    step: int
    modulus: int
    logits: list[list[float]]


# -- embeddings and spectra ----------------------------------------------------------------------


class BasisAnswer(msgspec.Struct):
    """The group whose Fourier basis is used, and the order in which residues stand in it."""

    group: str
    order: int
    reindex: str
    generator: int | None


class CircleNull(msgspec.Struct):
    """r_squared of the same matrix with its rows permuted, each draw at its own best frequency."""

    permutations: int
    mean: float
    max: float
    p_value: float
    seed: int


class CircleAnswer(msgspec.Struct):
    """How well the residues lie on a circle; angles in radians; never without its null."""

    radius: float
    radius_cv: float | None
    winding: int | None
    phase: float | None
    angle_error_rms: float | None
    r_squared: float | None
    axis_cosine: float | None
    null: CircleNull | None
    note: str | None


class EmbeddingAnswer(msgspec.Struct):
    """Coordinates of the residues: x, y (, z) in up to three dimensions, x0, x1, ... beyond."""

    run: str
    step: int
    of: str
    basis: BasisAnswer
    projection: str
    frequency: int | None
    explained_share: float | None
    circle: CircleAnswer | None
    coordinates: list[dict[str, float]]


class SpectrumRowAnswer(msgspec.Struct):
    """One frequency; `sine_norm` is null where the basis has no sine (Nyquist)."""

    frequency: int
    power: float
    share: float | None
    cosine_norm: float
    sine_norm: float | None
    key: bool | None


class IrrepRowAnswer(msgspec.Struct):
    """One irreducible representation of S_5 by its partition; noise has the share d^2/119."""

    irrep: str
    dimension: int
    power: float
    share: float | None


class SpectrumFigures(msgspec.Struct):
    """What a spectrum has in any basis; total_power = ||M||_F^2 = constant_power + all power."""

    run: str
    step: int
    of: str
    basis: BasisAnswer
    constant_power: float
    total_power: float
    gini: float | None
    gini_frequencies: float | None
    ipr: float | None
    key_frequencies: list[int] | None
    key_rule: str | None
    provisional: bool  # the run goes on: its keys are its latest checkpoint's
    null: Null | None


class SpectrumAnswer(SpectrumFigures):
    """The Fourier spectrum of a matrix, by frequency."""

    spectrum: list[SpectrumRowAnswer]


class IrrepSpectrumAnswer(SpectrumFigures):
    """The spectrum of a matrix over S_5, by irreducible representation."""

    spectrum: list[IrrepRowAnswer]


class MeasuresAnswer(msgspec.Struct):
    """Every measure by its name; `keys` is null where the operation has no rule for them."""

    run: str
    step: int
    provisional: bool  # the run goes on: its keys are its latest checkpoint's
    keys: KeyRecord | None
    measures: dict[str, Measure]
    local_learning_coefficient: LearningCoefficient | None
    key_share_null: Null | None


class MeasureRow(msgspec.Struct):
    """A measure in a table; `frequency` is null but for a measure that has one value each."""

    measure: str
    frequency: int | None
    value: float | None


class WeightRow(msgspec.Struct):
    """A parameter of a checkpoint."""

    name: str
    shape: list[int]
    dtype: str


class WeightsAnswer(msgspec.Struct):
    """The parameters of a checkpoint, in the order of its file."""

    run: str
    step: int
    weights: list[WeightRow]


class WeightAnswer(msgspec.Struct):
    """One parameter; `values` is nested as its shape says."""

    run: str
    step: int
    name: str
    shape: list[int]
    dtype: str
    values: Any


class NeuronRow(msgspec.Struct):
    """A neuron's strongest frequency, null where it is dead, and the share that it explains."""

    neuron: int
    frequency: int | None
    fve: float


class Cluster(msgspec.Struct):
    """How many neurons compute with a frequency, fve at least 0.85."""

    frequency: int
    neurons: int


class NeuronsAnswer(msgspec.Struct):
    """Each neuron over all pairs of the group; `unclustered` counts live neurons."""

    run: str
    step: int
    basis: BasisAnswer
    neurons: list[NeuronRow]
    clusters: list[Cluster]
    unclustered: int
    dead: int
