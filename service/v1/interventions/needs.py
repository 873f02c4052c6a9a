"""How much memory an intervention takes at most, in bytes, known before it starts.

Of modulus p (or order n <= p) with c classes and d neurons, by the arrays that live at the same
time: outputs in float32, cubes of coefficients and what is made of a set in float64.
"""

from grokprobe.analysis.needs import DOUBLE, SINGLE, SMALL
from service.inference.altered import FILE_COPIES
from service.inference.checkpoints import Checkpoint
from service.v1.interventions.asked import Asked

# A cube as it is and in three sets of coefficients, and of these what goes or stays, twice.
CUBES = 6


def need_bytes(asked: Asked, checkpoint: Checkpoint) -> int:
    """What an intervention takes beside the runs of the model."""
    p = checkpoint.table.task.modulus
    logits, neurons = p**3, 0
    total = SMALL + 16 * DOUBLE * p * p + SINGLE * logits  # figures, pairs, masks; logits
    if asked.of in ("neurons", "activations"):
        neurons = p * p * checkpoint.width("neurons")
        total += SINGLE * neurons
        total += (SINGLE + DOUBLE) * logits  # without neurons; what they add
    if asked.of in ("logits", "activations"):
        by_map = asked.of == "logits" or "neuron_logit_map" in checkpoint.shapes
        sure = by_map and (asked.of == "logits" or checkpoint.bounds.is_ours)
        total += CUBES * DOUBLE * (logits if sure else max(logits, neurons))
    if asked.of != "logits":
        total += FILE_COPIES * checkpoint.manifest.model.bytes
    return total
