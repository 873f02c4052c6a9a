"""Measures by request: what they read, and their values.

Those that need the same make a family: they are computed in one go, and kept together.
"""

from collections.abc import Iterable

from grokprobe.analysis.measures_table import MEASURES
from grokprobe.analysis.measuring.definitions import PARAMETERS, MeasureDefinition, Need, Value
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.ranks import WeightMatrices
from grokprobe.analysis.readings import OUTPUT_OF, Reading

BY_REQUEST = {measure.name: measure for measure in MEASURES if measure.by_request}
RESIDUES = ("embedding", "embedding_b", "neuron_logit_map")

Family = tuple[Need, ...]  # by what its measures need beside the split


def families(names: Iterable[str]) -> list[Family]:
    """The families of measures by request, in the order of their names."""
    return list(dict.fromkeys(_family(BY_REQUEST[name]) for name in names))


def _family(measure: MeasureDefinition) -> Family:
    return tuple(need for need in measure.needs if need != "split")


def is_of_weights(family: Family) -> bool:
    """Whether the parameters of the file are all that it takes."""
    return "weights" in family


def readings_of(family: Family) -> tuple[Reading, ...]:
    """What may be read of all pairs for a family; nothing where parameters tell it."""
    needs, outputs = set(family), set()
    if "neurons" in needs:
        outputs.add("neurons")
    if "direction" in needs or not needs & (PARAMETERS | {"neurons", "residual"}):
        outputs.add("logits")
    return tuple(r for r, of in OUTPUT_OF.items() if of in outputs and r != "train_rows")


def matrices_of(family: Family) -> tuple[str, ...]:
    """The outputs with a row for each residue that a family reads: of both operands, if of one."""
    of_b = {"embedding_b"} if "embedding" in family else set()
    return tuple(name for name in RESIDUES if name in {*family, *of_b})


def of_outputs(family: Family, probe: Probe) -> dict[str, Value]:
    """The measures of a family that are computed from outputs, by name."""
    members = (m for m in BY_REQUEST.values() if _family(m) == family)
    return {m.name: m.of_outputs(probe) for m in members if m.of_outputs}


def of_weights(family: Family, weights: WeightMatrices) -> dict[str, Value]:
    """The measures of a family that are computed from parameters, by name."""
    members = (m for m in BY_REQUEST.values() if _family(m) == family)
    return {m.name: m.of_weights(weights) for m in members if m.of_weights}
