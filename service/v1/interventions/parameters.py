"""Which parameters of a model change, and what becomes of them."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from grokprobe.analysis.interventions.frequencies import rows_without
from grokprobe.analysis.interventions.sets import Members
from grokprobe.analysis.outputs import Outputs
from grokprobe.errors import InvalidInput
from service.inference.altered import Given, ModelFile
from service.inference.checkpoints import Checkpoint
from service.v1.interventions.asked import Asked

OUTWARD = re.compile(r"(?:blocks\.(?P<layer>\d{1,4})\.)?W_O")


class Change(NamedTuple):
    """The parameters that change, what they are without a set, and of which layer they are."""

    names: list[str]
    without: Callable[[Members], Given]
    layer: int | None = None


def tables_change(asked: Asked, tables: Sequence[Outputs], file: ModelFile) -> Change:
    """The parameters whose first rows are the residues' embeddings, without frequencies.

    Raises InvalidInput where a table of `tables` (p, d_model) is no parameter.
    """
    assert asked.basis
    basis, parameters = asked.basis, file.parameters
    found: dict[str, Outputs] = {}
    for table in tables:
        held = {name: of for name, of in parameters.items() if _holds(of, table)}
        if not held:
            raise InvalidInput("$.of", "no parameter of this model has its embedding as rows")
        found |= held

    def without(removed: Members) -> Given:
        changed = {name: array.copy() for name, array in found.items()}
        for array in changed.values():
            array[basis.residues] = rows_without(basis.rows(array), removed)
        return changed

    return Change(list(found), without)


def _holds(parameter: Outputs, table: Outputs) -> bool:
    rows, width = table.shape
    fits = parameter.ndim == 2 and parameter.shape[1] == width and len(parameter) >= rows
    return fits and np.array_equal(parameter[:rows], table)


def heads_change(asked: Asked, checkpoint: Checkpoint, file: ModelFile) -> Change:
    """W_O of a layer, (heads * d_head, d_model), without the rows of heads.

    Raises InvalidInput for a layer that is not there, and where the form of the model is not ours:
    which rows are a head's is then not known.
    """
    parameters, heads = file.parameters, len(asked.pool)
    layers = {
        int(found["layer"] or 0): name
        for name, of in parameters.items()
        if (found := OUTWARD.fullmatch(name)) and of.ndim == 2 and len(of) % heads == 0
    }
    if not checkpoint.bounds.is_ours or not layers:
        message = "heads can be taken out of models that were exported here alone: of another form "
        raise InvalidInput("$.of", message + "it is not known which parameters are a head's")
    layer = max(layers) if asked.layer is None else asked.layer
    if layer not in layers:
        raise InvalidInput("$.layer", f"{layer} is not a layer 0..{max(layers)}")
    name = layers[layer]
    W_O = parameters[name]

    def without(removed: Members) -> Given:
        changed = W_O.reshape(len(asked.pool), -1, W_O.shape[1]).copy()
        changed[list(removed)] = 0
        return {name: changed.reshape(W_O.shape)}

    return Change([name], without, layer)
