"""The JSON of predictions: the request and the answer."""

from typing import Annotated, Literal, get_args

import msgspec

Extra = Literal["logits", "attention", "neurons"]
SplitPart = Literal["train", "test"]

CHOICES = {"$.include[": get_args(Extra)}  # what may stand there, by the place in a body

Residue = Annotated[int, msgspec.Meta(ge=0)]


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
    split: SplitPart | None
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
