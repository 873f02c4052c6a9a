"""What a measure is: its name, what it means, what it needs, and the function that computes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from grokprobe.analysis.measuring.keyed_probe import KeyedProbe
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.ranks import WeightMatrices

# A scalar, or one value a key frequency or a weight.
Value = float | dict[str, float] | None

Need = Literal[
    "split",  # which pairs were trained on
    "embedding",
    "embedding_b",
    "neurons",
    "neuron_logit_map",  # outputs of the model; logits it always has
    "residual",  # what the unembedding reads
    "frequencies",  # a basis of frequencies: not s5
    "direction",  # an answer that is the sum or the difference in the basis
    "keys",  # a set of key frequencies, not empty
    "weights",
    "topology",  # the extra of that name
    "gradients",  # only the trainer has these
]

# What the file tells without a pair being put through the network.
PARAMETERS: set[Need] = {"embedding", "embedding_b", "neuron_logit_map", "weights"}


@dataclass(frozen=True)
class MeasureDefinition:
    """A row: one of the functions gives the value; none, where the trainer alone has what it needs.

    `by_request`: it costs more than publication may take. It is computed when asked for by name,
    and then kept.
    """

    name: str
    meaning: str
    needs: tuple[Need, ...] = ()
    of_outputs: Callable[[Probe], float | None] | None = None
    of_keys: Callable[[KeyedProbe], Value] | None = None
    of_weights: Callable[[WeightMatrices], Value] | None = None
    by_request: bool = False
    in_rows: bool = False  # a column of the lists of checkpoints, and of a trajectory by default
