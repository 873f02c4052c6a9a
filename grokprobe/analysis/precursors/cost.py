"""What it costs to compute a series, for each checkpoint: what has to be run and when."""

from typing import Literal

import msgspec

from grokprobe.analysis.measuring.definitions import PARAMETERS, MeasureDefinition, Need

TRIPLES = 100  # of gradient symmetricity: forwards and back


class Cost(msgspec.Struct, frozen=True):
    """What a measure needs; the pairs put through the network for it, 0 where parameters do.

    `stored` at the checkpoint's publication, or when the run ends, for its keys are chosen then;
    by `request` where it is not, but computed when asked for.
    """

    needs: list[Need]
    pairs: int
    stored: Literal["publication", "end", "request"]


def cost(measure: MeasureDefinition, modulus: int) -> Cost:
    """The cost of a measure at this modulus."""
    needs = set(measure.needs)
    by_pair = "neurons" in needs or not needs & PARAMETERS
    when: Literal["publication", "end"] = "end" if "keys" in needs else "publication"
    return Cost(
        needs=list(measure.needs),
        pairs=TRIPLES if "gradients" in needs else modulus**2 * by_pair,
        stored="request" if measure.by_request else when,
    )
