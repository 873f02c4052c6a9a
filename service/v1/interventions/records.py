"""The JSON of interventions: the request and the answer."""

from typing import Annotated, Literal, get_args

import msgspec

from grokprobe.analysis.interventions.outcome import PartOutcome
from service.v1.basis import BasisAnswer

Of = Literal["logits", "activations", "embedding", "neurons", "heads"]
Directions = Literal["all", "answer"]
By = Literal["zero", "mean"]
Match = Literal["norm"]
Method = Literal["logits", "neuron_logit_map", "model"]
Verb = Literal["remove", "keep"]

MAX_CONTROLS = 1_000
MAX_SEED = 2**53 - 1
CHOICES = {  # what may stand there, by the place in a body
    "$.of": get_args(Of),
    "$.directions": get_args(Directions),
    "$.by": get_args(By),
    "$.match": get_args(Match),
}

Index = Annotated[int, msgspec.Meta(ge=0)]


class InterventionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is taken out, or kept: frequencies, or numbers of neurons or heads, from 0."""

    of: Of
    remove: list[Index] | msgspec.UnsetType = msgspec.UNSET
    keep: list[Index] | msgspec.UnsetType = msgspec.UNSET
    directions: Directions | msgspec.UnsetType = msgspec.UNSET  # logits; "all"
    by: By | msgspec.UnsetType = msgspec.UNSET  # neurons; "zero"
    match: Match | msgspec.UnsetType = msgspec.UNSET  # neurons
    layer: Index | msgspec.UnsetType = msgspec.UNSET  # heads; the last
    controls: Annotated[int, msgspec.Meta(ge=0, le=MAX_CONTROLS)] = 100
    seed: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEED)] = 0


class ControlsAnswer(msgspec.Struct):
    """The random sets: `sets` were drawn of `exist`, or are `every` one, each once.

    `exist` is null above 2^53. A control counts where its loss is at `tail` that of the set.
    """

    sets: int
    exist: int | None
    every: bool
    seed: int
    tail: Literal["at least", "at most"]
    avoiding: int
    match: Match | None


class InterventionAnswer(msgspec.Struct):
    """Loss and accuracy before and after, and of the controls, by part of the pairs."""

    run: str
    step: int
    of: Of
    verb: Verb
    members: list[int]
    pool: int  # how many frequencies, neurons or heads there are
    directions: Directions | None
    by: By | None
    layer: int | None
    basis: BasisAnswer | None
    method: Method
    missed: float | None  # of a logit by the neuron-logit map, at most
    controls: ControlsAnswer
    p_value: float | None  # of all pairs
    parts: list[PartOutcome]
