"""What it costs to compute a series, for each checkpoint: what has to be run and when."""

from typing import Literal

import msgspec

from grokprobe.analysis.measures_table import MeasureDefinition, Need

# What the file tells without a pair being put through the network.
PARAMETERS: set[Need] = {"embedding", "embedding_b", "neuron_logit_map", "weights"}
TRIPLES = 100  # of gradient symmetricity: forwards and back


class Cost(msgspec.Struct, frozen=True):
    """What a measure needs; the pairs put through the network for it, 0 where parameters do.

    `stored` at the checkpoint's publication, or when the run ends, for its keys are chosen then.
    """

    needs: list[Need]
    pairs: int
    stored: Literal["publication", "end"]


def cost(measure: MeasureDefinition, modulus: int) -> Cost:
    """The cost of a measure at this modulus."""
    needs = set(measure.needs)
    pairs = 0 if needs & PARAMETERS else modulus**2
    return Cost(
        needs=list(measure.needs),
        pairs=TRIPLES if "gradients" in needs else pairs,
        stored="end" if "keys" in needs else "publication",
    )
