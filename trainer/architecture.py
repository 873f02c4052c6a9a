"""The networks of a configuration: one section a family, told apart by `family`.

What a network computes stands at the top of its file in models/. The defaults are the canonical
runs of docs/maths.md: of the transformer Nanda et al. 2023, of the MLP Gromov 2023.
"""

from typing import Annotated, Literal

import msgspec

from trainer.sections import Section

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
    attention_scale: Annotated[float, msgspec.Meta(gt=0)] | Literal["1/sqrt(d_head)"] = (
        "1/sqrt(d_head)"
    )
    causal: bool = True
    layer_norm: Literal["none", "pre", "post"] = "none"


class TransformerSection(
    TransformerShape, frozen=True, kw_only=True, tag_field="family", tag="transformer"
):
    """A transformer; `heads * d_head` need not equal `d_model`."""

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
