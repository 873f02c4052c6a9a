"""What the service answers with: made by `python -m tools.records`."""

from datetime import datetime
from typing import Any, Literal

from grokprobe.client.answers import Answer, Record


class ActivationsAnswer(Answer, kw_only=True):
    """ActivationsAnswer."""

    activations: list[list[float]]
    head: int | None
    index: int
    of: str
    run: str
    step: int
    token: int | None


class CardCitation(Record, kw_only=True):
    """CardCitation."""

    bibtex: str
    text: str


class CardCheckpoint(Record, kw_only=True):
    """CardCheckpoint."""

    sha256: str
    step: int


class CardDigests(Record, kw_only=True):
    """CardDigests."""

    card: str
    checkpoints: dict[str, CardCheckpoint]
    configuration: str
    run_record: str
    split: str | None


class Held(Record, kw_only=True):
    """Held."""

    checkpoints_held: int
    confirmed: bool
    previous_step: int | None
    step: int


class KeyRecord(Record, kw_only=True):
    """KeyRecord."""

    frequencies: list[int]
    margin: tuple[float | None, float | None]
    rule: str
    source_step: int | None
    threshold: float | None


class Lag(Record, kw_only=True):
    """Lag."""

    high: int
    low: int
    relative: float | None
    resolved: bool
    steps: float


class NullRecord(Record, kw_only=True):
    """NullRecord."""

    max: float
    mean: float
    observed: float
    p999: float | None
    p_value: float
    permutations: int
    seed: int
    statistic: str
    std: float
    z: float | None


class Phase(Record, kw_only=True):
    """Phase."""

    end: float
    start: float


class Phases(Record, kw_only=True):
    """Phases."""

    circuit_formation: Phase | None
    cleanup: Phase | None
    memorisation: Phase | None


class TaskRecord(Record, kw_only=True):
    """TaskRecord."""

    modulus: int
    operation: Literal["add", "sub", "mul", "div", "x2+y2", "x2+xy+y2", "x3+xy", "random", "s5"]
    operation_seed: int
    split_seed: int | None
    split_sha256: str | None
    test_pairs: int | None
    train_fraction: float | None
    train_pairs: int | None


class Crossing(Record, kw_only=True):
    """Crossing."""

    high: int
    low: int
    step: float


class Transition(Record, kw_only=True):
    """Transition."""

    midpoint: Crossing | None = None
    onset: Crossing | None = None
    rise: float | None
    settled: Crossing | None = None


class CardAnswer(Answer, kw_only=True):
    """CardAnswer."""

    absent: dict[str, str]
    architecture: dict[str, Any]
    checkpoint_count: int
    citation: CardCitation | None
    command: str | None
    created_at: str
    digests: CardDigests
    generalised: Held | None
    keys: KeyRecord | None
    lags: dict[str, dict[str, Lag | None]]
    memorised: Held | None
    nulls: list[NullRecord]
    optimiser: dict[str, Any]
    phases: Phases
    provisional: bool
    reason: str
    run: str
    seed: int | None
    series: dict[str, Transition]
    status: Literal["running", "complete", "stopped", "failed"]
    task: TaskRecord
    versions: dict[str, str]


class LearningCoefficient(Record, kw_only=True):
    """LearningCoefficient."""

    estimate: float | None
    hyperparameters: dict[str, int | float]
    refused: str | None
    standard_error: float | None
    traces: list[list[float]]


class ModelRecord(Record, kw_only=True):
    """ModelRecord."""

    bytes: int
    opset: int
    outputs: list[str]
    sha256: str


class CheckpointAnswer(Answer, kw_only=True):
    """CheckpointAnswer."""

    created_at: datetime
    local_learning_coefficient: LearningCoefficient | None
    measures: dict[str, int | float | None]
    model: ModelRecord
    run: str
    step: int


class CheckpointRow(Record, kw_only=True):
    """CheckpointRow."""

    bytes: int
    created_at: datetime
    gini_embedding: float | None
    sha256: str
    step: int
    test_accuracy: float | None
    test_loss: float | None
    train_accuracy: float | None
    train_loss: float | None
    weight_norm: float | None


class CheckpointList(Answer, kw_only=True):
    """CheckpointList."""

    checkpoints: list[CheckpointRow]
    next: int | None
    run: str


class AllWeights(Record, kw_only=True):
    """AllWeights."""

    cosine: float | None
    distance: float | None


class BasisAnswer(Record, kw_only=True):
    """BasisAnswer."""

    generator: int | None
    group: str
    order: int
    reindex: str


class ChangedPairs(Record, kw_only=True):
    """ChangedPairs."""

    right_to_wrong: list[int]
    wrong_to_right: list[int]


class ComparedCheckpoint(Record, kw_only=True):
    """ComparedCheckpoint."""

    run: str
    sha256: str
    step: int


class KeyComparison(Record, kw_only=True):
    """KeyComparison."""

    alignment: float | None
    alignment_chance: float | None
    anisotropy_a: float | None
    anisotropy_b: float | None
    change: Literal["kept", "gained", "lost"]
    frequency: int
    overlap: float | None
    overlap_chance: float | None
    phase_a: float | None
    phase_b: float | None
    share_a: float | None
    share_b: float | None


class PartComparison(Record, kw_only=True):
    """PartComparison."""

    accuracy_a: float
    accuracy_b: float
    changed: int
    kl_a_b: float
    kl_b_a: float
    loss_a: float
    loss_b: float
    loss_difference: float
    pairs: int
    right_to_wrong: int
    split_a: Literal["train", "test"] | None
    split_b: Literal["train", "test"] | None
    wrong_to_right: int


class PlaneOverlap(Record, kw_only=True):
    """PlaneOverlap."""

    chance: float
    frequencies_a: list[int]
    frequencies_b: list[int]
    overlap: float


class Similarity(Record, kw_only=True):
    """Similarity."""

    cka: float
    null_mean: float


class WeightComparison(Record, kw_only=True):
    """WeightComparison."""

    cosine: float | None
    distance: float | None
    identical: bool
    name: str
    norm_a: float | None
    norm_b: float | None
    shape_a: list[int] | None
    shape_b: list[int] | None


class CompareAnswer(Answer, kw_only=True):
    """CompareAnswer."""

    a: ComparedCheckpoint
    absent: dict[str, str]
    all_weights: AllWeights | None
    b: ComparedCheckpoint
    basis: BasisAnswer
    changed: ChangedPairs
    embedding: Similarity | None
    identical: Literal["bytes", "weights"] | None
    keys: list[KeyComparison] | None
    neurons: Similarity | None
    parts: list[PartComparison]
    planes: PlaneOverlap | None
    weights: list[WeightComparison] | None


class CoordinatesRow(Record, kw_only=True):
    """CoordinatesRow."""

    explained_share: float | None
    r_squared: float | None
    radius: float
    step: int
    x: list[float]
    y: list[float]


class CoordinatesAnswer(Answer, kw_only=True):
    """CoordinatesAnswer."""

    basis: BasisAnswer
    coordinates: list[CoordinatesRow]
    frequency: int | None
    of: str
    provisional: bool
    residues: list[int]
    run: str


class DriftRow(Record, kw_only=True):
    """DriftRow."""

    chance: float | None
    cka: float | None
    cka_null_mean: float | None
    cosine: float | None
    cosines: dict[str, int | float]
    distance: float | None
    distances: dict[str, int | float]
    identical: bool
    keys_gained: list[int] | None
    keys_kept: list[int] | None
    keys_lost: list[int] | None
    overlap: float | None
    step: int
    test_accuracy_difference: float | None
    test_loss_difference: float | None
    train_accuracy_difference: float | None
    train_loss_difference: float | None


class DriftAnswer(Answer, kw_only=True):
    """DriftAnswer."""

    absent: dict[str, str]
    drift: list[DriftRow]
    provisional: bool
    reference: int
    run: str


class CircleNull(Record, kw_only=True):
    """CircleNull."""

    max: float
    mean: float
    p_value: float
    permutations: int
    seed: int


class CircleAnswer(Record, kw_only=True):
    """CircleAnswer."""

    angle_error_rms: float | None
    axis_cosine: float | None
    note: str | None
    null: CircleNull | None
    phase: float | None
    r_squared: float | None
    radius: float
    radius_cv: float | None
    winding: int | None


class EmbeddingAnswer(Answer, kw_only=True):
    """EmbeddingAnswer."""

    basis: BasisAnswer
    circle: CircleAnswer | None
    coordinates: list[dict[str, int | float]]
    explained_share: float | None
    frequency: int | None
    of: str
    projection: str
    run: str
    step: int


class Turn(Record, kw_only=True):
    """Turn."""

    previous_step: int | None
    step: int


class Interval(Record, kw_only=True):
    """Interval."""

    checkpoints_held: int
    gained: Turn
    lost: Turn | None


class Plateau(Record, kw_only=True):
    """Plateau."""

    change: float | None
    checkpoints: int
    reached: bool | None
    since: Held | None


class PlateauRule(Record, kw_only=True):
    """PlateauRule."""

    checkpoints: int | None = None
    tolerance: float | None = None
    window: float | None = None


class Plateaus(Record, kw_only=True):
    """Plateaus."""

    from_step: int
    rule: PlateauRule
    series: dict[str, Plateau]


class EmergenceAnswer(Answer, kw_only=True):
    """EmergenceAnswer."""

    generalised: Held | None
    intervals: list[Interval]
    keys: KeyRecord | None
    lags: dict[str, dict[str, Lag | None]]
    lost: list[Turn]
    memorised: Held | None
    nulls: list[NullRecord]
    phases: Phases
    plateaus: Plateaus
    provisional: bool
    regained: list[Turn]
    run: str
    series: dict[str, Transition]


class GridRow(Record, kw_only=True):
    """GridRow."""

    step: int
    values: list[int | bool | None]


class GridsAnswer(Answer, kw_only=True):
    """GridsAnswer."""

    grids: list[GridRow]
    modulus: int
    of: Literal["predicted", "correct"]
    provisional: bool
    run: str


class Censored(Record, kw_only=True):
    """Censored."""

    first: float | None
    last: float | None
    members: int


class Distribution(Record, kw_only=True):
    """Distribution."""

    censored: Censored
    high: float | None
    low: float | None
    max: float | None
    mean: float | None
    members: int
    min: float | None
    of: int
    quartiles: tuple[float | None, float | None, float | None]
    standard_deviation: float | None
    survival_quartiles: tuple[float | None, float | None, float | None]
    unknown: int


class SignedDistribution(Record, kw_only=True):
    """SignedDistribution."""

    after: int
    before: int
    censored: Censored
    high: float | None
    low: float | None
    max: float | None
    mean: float | None
    members: int
    min: float | None
    of: int
    quartiles: tuple[float | None, float | None, float | None]
    standard_deviation: float | None
    survival_quartiles: tuple[float | None, float | None, float | None]
    unknown: int
    unresolved: int


class Distributions(Record, kw_only=True):
    """Distributions."""

    delay: SignedDistribution
    generalised: Distribution
    lags: dict[str, SignedDistribution]
    memorised: Distribution


class Delay(Record, kw_only=True):
    """Delay."""

    high: int
    low: int
    resolved: bool
    steps: int


class MemberRow(Record, kw_only=True):
    """MemberRow."""

    checkpoint_count: int
    config: dict[str, Any]
    delay: Delay | None
    generalised: Held | None
    lags: dict[str, Lag | None]
    latest_step: int | None
    lost: Turn | None
    memorised: Held | None
    run: str
    seed: int | None
    status: Literal["running", "complete", "stopped", "failed"]
    test_accuracy: float | None
    train_accuracy: float | None
    transition: Transition


class GroupEmergenceAnswer(Answer, kw_only=True):
    """GroupEmergenceAnswer."""

    differing: list[str]
    distribution: Distributions
    group: str
    members: list[MemberRow]
    provisional: bool


class ControlsAnswer(Record, kw_only=True):
    """ControlsAnswer."""

    avoiding: int
    every: bool
    exist: int | None
    match: Literal["norm"] | None
    seed: int
    sets: int
    tail: Literal["at least", "at most"]


class Spread(Record, kw_only=True):
    """Spread."""

    max: float
    mean: float
    min: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float


class Family(Record, kw_only=True):
    """Family."""

    accuracies: list[float]
    accuracy: Spread
    loss: Spread
    losses: list[float]


class Judged(Record, kw_only=True):
    """Judged."""

    accuracy: float
    loss: float


class PartOutcome(Record, kw_only=True):
    """PartOutcome."""

    after: Judged
    avoiding: Family | None
    before: Judged
    controls: Family | None
    p_value: float | None
    pairs: int
    part: Literal["all", "train", "test"]


class InterventionAnswer(Answer, kw_only=True):
    """InterventionAnswer."""

    basis: BasisAnswer | None
    by: Literal["zero", "mean"] | None
    controls: ControlsAnswer
    directions: Literal["all", "answer"] | None
    layer: int | None
    members: list[int]
    method: Literal["logits", "neuron_logit_map", "model"]
    missed: float | None
    of: Literal["logits", "activations", "embedding", "neurons", "heads"]
    p_value: float | None
    parts: list[PartOutcome]
    pool: int
    run: str
    step: int
    verb: Literal["remove", "keep"]


class IrrepRowAnswer(Record, kw_only=True):
    """IrrepRowAnswer."""

    dimension: int
    irrep: str
    power: float
    share: float | None


class Null(Record, kw_only=True):
    """Null."""

    max: float
    mean: float
    observed: float
    p999: float | None
    p_value: float
    permutations: int
    seed: int
    statistic: str
    std: float
    z: float | None


class IrrepSpectrumAnswer(Answer, kw_only=True):
    """IrrepSpectrumAnswer."""

    basis: BasisAnswer
    constant_power: float
    gini: float | None
    gini_frequencies: float | None
    ipr: float | None
    key_frequencies: list[int] | None
    key_rule: str | None
    null: Null | None
    of: str
    provisional: bool
    run: str
    spectrum: list[IrrepRowAnswer]
    step: int
    total_power: float


class MeasuresAnswer(Answer, kw_only=True):
    """MeasuresAnswer."""

    key_share_null: Null | None
    keys: KeyRecord | None
    local_learning_coefficient: LearningCoefficient | None
    measures: dict[str, int | float | dict[str, int | int | float] | None]
    provisional: bool
    run: str
    step: int


class NeuronsOfStep(Record, kw_only=True):
    """NeuronsOfStep."""

    frequency: list[int | None]
    fve: list[float]
    fve_harmonics: list[float | None]
    input_amplitude: list[float | None]
    input_amplitude_b: list[float | None]
    input_phase: list[float | None]
    input_phase_b: list[float | None]
    input_share_3f: list[float | None]
    input_share_5f: list[float | None]
    input_share_f: list[float | None]
    misalignment: list[float | None]
    output_amplitude: list[float | None]
    output_phase: list[float | None]
    step: int


class NeuronSeriesAnswer(Answer, kw_only=True):
    """NeuronSeriesAnswer."""

    basis: BasisAnswer
    input_phase_of: Literal["effective_embedding", "mean_over_b"] | None
    neurons: list[NeuronsOfStep]
    provisional: bool
    run: str


class Cluster(Record, kw_only=True):
    """Cluster."""

    frequency: int
    neurons: int


class NeuronRow(Record, kw_only=True):
    """NeuronRow."""

    frequency: int | None
    fve: float
    fve_harmonics: float | None
    input_amplitude: float | None
    input_amplitude_b: float | None
    input_phase: float | None
    input_phase_b: float | None
    input_share_3f: float | None
    input_share_5f: float | None
    input_share_f: float | None
    misalignment: float | None
    neuron: int
    output_amplitude: float | None
    output_phase: float | None


class NeuronsAnswer(Answer, kw_only=True):
    """NeuronsAnswer."""

    basis: BasisAnswer
    clusters: list[Cluster]
    dead: int
    input_phase_of: Literal["effective_embedding", "mean_over_b"]
    neurons: list[NeuronRow]
    run: str
    step: int
    unclustered: int


class PairSumRow(Record, kw_only=True):
    """PairSumRow."""

    group: int
    half_previous_step: int | None
    half_step: int | None
    learnt: int
    lost: int
    margin: float | None
    pairs: int
    split: str | None


class PairSumsAnswer(Answer, kw_only=True):
    """PairSumsAnswer."""

    by: Literal["pair", "answer", "difference", "mirror"]
    first_step: int | None
    last_step: int | None
    provisional: bool
    run: str
    sums: list[PairSumRow]


class MirrorRow(Record, kw_only=True):
    """MirrorRow."""

    accuracy_mirrored: float | None
    accuracy_others: float | None
    explained: float | None
    right: int
    right_mirrored: int
    share: float | None
    step: int


class MirrorAnswer(Record, kw_only=True):
    """MirrorAnswer."""

    commutes: bool
    memorised: MirrorRow | None
    mirrored: int
    steps: list[MirrorRow]
    test_pairs: int


class PairRow(Record, kw_only=True):
    """PairRow."""

    a: int
    answer: int | None
    b: int
    lost: int | None
    margin: float | None
    mirror_in_train: bool | None
    previous_step: int | None
    split: str | None
    step: int | None


class PairsAnswer(Answer, kw_only=True):
    """PairsAnswer."""

    by_answer: list[PairSumRow]
    by_difference: list[PairSumRow]
    by_mirror: list[PairSumRow]
    first_step: int | None
    last_step: int | None
    mirror: MirrorAnswer | None
    pairs: list[PairRow]
    provisional: bool
    run: str


class PathRow(Record, kw_only=True):
    """PathRow."""

    coordinates: list[float | None]
    edge: int | None
    edge_ratio: float | None
    step: int


class PathAnswer(Answer, kw_only=True):
    """PathAnswer."""

    components: int
    explained_shares: list[float] | None
    path: list[PathRow]
    provisional: bool
    random_walk_shares: list[float] | None
    run: str
    window: int


class TopResidue(Record, kw_only=True):
    """TopResidue."""

    probability: float
    residue: int


class Prediction(Record, kw_only=True):
    """Prediction."""

    a: int
    answer: int | None
    attention: list[list[float]] | None = None
    b: int
    correct: bool | None
    logits: list[float] | None = None
    loss: float | None
    neurons: list[float] | None = None
    predicted: int
    probability: float
    split: Literal["train", "test"] | None
    top: list[TopResidue] | None = None


class PredictionAnswer(Answer, kw_only=True):
    """PredictionAnswer."""

    modulus: int
    operation: str
    predictions: list[Prediction]
    run: str
    step: int


class FieldError(Record, kw_only=True):
    """FieldError."""

    message: str
    path: str


class Problem(Record, kw_only=True):
    """Problem."""

    detail: str
    error: str
    errors: list[FieldError] | None = None
    instance: str
    request_id: str
    status: int
    title: str
    type: str


class ProjectorEmbedding(Record, kw_only=True):
    """ProjectorEmbedding."""

    metadataPath: str
    tensorName: str
    tensorPath: str
    tensorShape: tuple[int, int]


class ProjectorConfig(Answer, kw_only=True):
    """ProjectorConfig."""

    embeddings: list[ProjectorEmbedding]


class RunAnswer(Answer, kw_only=True):
    """RunAnswer."""

    architecture: dict[str, Any]
    checkpoint_count: int
    created_at: datetime
    first_step: int | None
    generalised_step: int | None
    group: str | None
    key_frequencies: list[int] | None
    latest_step: int | None
    memorised_step: int | None
    optimiser: dict[str, Any]
    run: str
    seed: int | None
    status: Literal["running", "complete", "stopped", "failed"]
    task: TaskRecord


class RunRow(Record, kw_only=True):
    """RunRow."""

    architecture: str
    checkpoint_count: int
    created_at: datetime
    group: str | None
    latest_step: int | None
    modulus: int
    operation: str
    run: str
    seed: int | None
    status: Literal["running", "complete", "stopped", "failed"]
    test_accuracy: float | None


class RunList(Answer, kw_only=True):
    """RunList."""

    next: str | None
    runs: list[RunRow]


class SpectraRow(Record, kw_only=True):
    """SpectraRow."""

    step: int
    values: list[float | None]


class SpectraAnswer(Answer, kw_only=True):
    """SpectraAnswer."""

    basis: BasisAnswer
    frequencies: list[int | str]
    of: str
    run: str
    spectra: list[SpectraRow]
    value: str


class SpectrumRowAnswer(Record, kw_only=True):
    """SpectrumRowAnswer."""

    cosine_norm: float
    frequency: int
    key: bool | None
    power: float
    share: float | None
    sine_norm: float | None


class SpectrumAnswer(Answer, kw_only=True):
    """SpectrumAnswer."""

    basis: BasisAnswer
    constant_power: float
    gini: float | None
    gini_frequencies: float | None
    ipr: float | None
    key_frequencies: list[int] | None
    key_rule: str | None
    null: Null | None
    of: str
    provisional: bool
    run: str
    spectrum: list[SpectrumRowAnswer]
    step: int
    total_power: float


class SplitAnswer(Answer, kw_only=True):
    """SplitAnswer."""

    modulus: int
    run: str
    test_pairs: int
    train: list[bool | None]
    train_pairs: int


class Half(Record, kw_only=True):
    """Half."""

    runs: list[str]
    seeds: list[int]


class LeftOut(Record, kw_only=True):
    """LeftOut."""

    reason: str
    run: str


class Cost(Record, kw_only=True):
    """Cost."""

    needs: list[
        Literal[
            "split",
            "embedding",
            "embedding_b",
            "neurons",
            "neuron_logit_map",
            "residual",
            "frequencies",
            "direction",
            "keys",
            "weights",
            "topology",
            "gradients",
        ]
    ]
    pairs: int
    stored: Literal["publication", "end", "request"]


class Judgement(Record, kw_only=True):
    """Judgement."""

    false_alarms: int
    generalised: int
    hits: int
    late: int
    lead: Distribution
    missed: int
    never: int
    p_value: float | None
    unknown: int


class Threshold(Record, kw_only=True):
    """Threshold."""

    direction: Literal["above", "below"]
    margin: float
    value: float


class Precursor(Record, kw_only=True):
    """Precursor."""

    chosen: Judgement | None
    cost: Cost
    judged: Judgement | None
    refused: str | None
    series: str
    threshold: Threshold | None


class Study(Answer, kw_only=True):
    """Study."""

    chosen_on: Half
    group: str
    judged_on: Half
    left_out: list[LeftOut]
    provisional: bool
    series: list[Precursor]


class TrajectoryAnswer(Answer, kw_only=True):
    """TrajectoryAnswer."""

    keys: KeyRecord | None
    provisional: bool
    run: str
    trajectory: list[dict[str, int | float | dict[str, int | int | float] | None]]


class UpdateRow(Record, kw_only=True):
    """UpdateRow."""

    changed: list[str]
    embedding_key_share: float | None
    embedding_power: list[float] | None
    norm: float | None
    norms: dict[str, int | float]
    participation_ratios: dict[str, int | float]
    previous_step: int
    step: int
    top_shares: dict[str, int | float]
    top_singular_values: dict[str, int | float]


class UpdatesAnswer(Answer, kw_only=True):
    """UpdatesAnswer."""

    absent: dict[str, str]
    basis: BasisAnswer
    frequencies: list[int | str]
    keys: list[int] | None
    provisional: bool
    run: str
    top: int
    updates: list[UpdateRow]


class WeightAnswer(Answer, kw_only=True):
    """WeightAnswer."""

    dtype: str
    name: str
    run: str
    shape: list[int]
    step: int
    values: Any


class WeightRow(Record, kw_only=True):
    """WeightRow."""

    dtype: str
    name: str
    shape: list[int]


class WeightsAnswer(Answer, kw_only=True):
    """WeightsAnswer."""

    run: str
    step: int
    weights: list[WeightRow]


FORMATS: dict[str, tuple[str, ...]] = {
    "GET /v1/compare": ("json", "csv", "arrow", "parquet", "vega-lite", "svg", "png", "pdf"),
    "GET /v1/groups/{group}/emergence": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/groups/{group}/precursors": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}": ("json",),
    "GET /v1/runs/{run}/card": ("json", "markdown"),
    "GET /v1/runs/{run}/checkpoints": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/checkpoints/{step}": ("json",),
    "GET /v1/runs/{run}/checkpoints/{step}/activations": (
        "npy",
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs/{run}/checkpoints/{step}/embedding": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "npy",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "POST /v1/runs/{run}/checkpoints/{step}/interventions": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/checkpoints/{step}/logits": ("npy", "json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/checkpoints/{step}/measures": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/checkpoints/{step}/neurons": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs/{run}/checkpoints/{step}/predictions": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "POST /v1/runs/{run}/checkpoints/{step}/predictions": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/checkpoints/{step}/projector": ("json",),
    "GET /v1/runs/{run}/checkpoints/{step}/spectrum": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs/{run}/checkpoints/{step}/weights": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/checkpoints/{step}/weights/{name}": (
        "npy",
        "json",
        "csv",
        "arrow",
        "parquet",
    ),
    "GET /v1/runs/{run}/coordinates": ("json", "csv", "arrow", "parquet", "npy"),
    "GET /v1/runs/{run}/drift": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/emergence": ("json", "csv", "arrow", "parquet"),
    "GET /v1/runs/{run}/grids": ("json", "csv", "arrow", "parquet", "npy"),
    "GET /v1/runs/{run}/neurons": ("json", "csv", "arrow", "parquet", "npy"),
    "GET /v1/runs/{run}/pairs": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "npy",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs/{run}/path": ("json", "csv", "arrow", "parquet", "npy"),
    "GET /v1/runs/{run}/spectra": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "npy",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs/{run}/split": ("json", "csv", "arrow", "parquet", "npy"),
    "GET /v1/runs/{run}/trajectory": (
        "json",
        "csv",
        "arrow",
        "parquet",
        "vega-lite",
        "svg",
        "png",
        "pdf",
    ),
    "GET /v1/runs/{run}/updates": ("json", "csv", "arrow", "parquet", "npy"),
}
