"""From the tensors of somebody else's file to the parameters of a network of models/.

The sizes of the network are read off the tensors by the names of their axes: two tensors that
disagree about one are an error that names both, in the file's own terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Any

import einops
import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from grokprobe.errors import InvalidInput
from trainer.config.schema import (
    MOST_LAYERS,
    MLPSection,
    ModelSection,
    TransformerSection,
    architecture,
)
from trainer.config.toml import unknown
from trainer.importing.elements import in_our_order
from trainer.importing.files import MOST_KNOWN, is_tensor, read_array
from trainer.importing.layout import Layout, MLPLayout, TransformerLayout
from trainer.importing.layouts.sizes import Sizes
from trainer.importing.tensors import LAYER, LAYER_NORMS, Tensor, index_of
from trainer.measuring.norms import weight_norms

StateDict = Mapping[str, Any]  # the tensors of one checkpoint, by their names in the file


@dataclass(frozen=True)
class ForeignNetwork:
    """A checkpoint that others trained, as a section and parameters of models/."""

    section: ModelSection  # but for its initialisation, which nobody knows
    modulus: int
    modulus_by: str  # who said so
    weights: dict[str, NDArray[np.float32]]  # all but biases and positions that the file lacks
    norms: dict[str, float | None]  # of the file's tensors, whole, each once
    read_from: dict[str, str]  # by parameter: its tensor in the file, with shape and axes

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that all checkpoints of a run share."""
        return {"modulus": self.modulus, **self.architecture}

    @property
    def architecture(self) -> dict[str, Any]:
        """The model section as `run.json` holds it."""
        facts = architecture(self.section)
        return {name: fact for name, fact in facts.items() if name != "initialisation"}


def read_network(where: str, state: StateDict, layout: Layout) -> ForeignNetwork:
    """The network that a state dictionary holds.

    Raises InvalidInput, beginning with `where`, for a tensor that is unknown, missing, of another
    shape or kind than the layout says, or not finite.
    """
    tensors = _listed(state, layout, where)
    arrays = {t.source: _array(state[t.source], f"{where}: {t.source}") for t in tensors.values()}
    sizes = Sizes(layout, where)
    cut = _cut_all(tensors, arrays, sizes, where)
    for name, tensor in tensors.items():  # axes that share one, now that all others are known
        _note(tensor, cut[name], sizes, alone=False)
    distinct = {_place(state[source], array): array for source, array in arrays.items()}
    axes = {name: layout.canonical[_base(name)] for name in tensors}
    weights = {name: _arranged(cut[name], t, axes[name], sizes) for name, t in tensors.items()}
    numbers = layout.task.numbers(sizes["p"])
    weights = {name: in_our_order(weight, axes[name], numbers) for name, weight in weights.items()}
    if (equals := weights.pop("W_equals", None)) is not None:  # the last row of W_E
        weights["W_E"] = np.concatenate([weights["W_E"], equals[None]])
    return ForeignNetwork(
        _section(layout, tensors, sizes),
        sizes["p"],
        sizes.who("p"),
        weights,
        weight_norms(distinct),
        {name: _who(tensor, arrays[tensor.source]) for name, tensor in tensors.items()},
    )


def _base(name: str) -> str:
    """A parameter's name without its layer."""
    return name.rpartition(".")[2]


def _section(layout: Layout, tensors: Mapping[str, Tensor], sizes: Sizes) -> ModelSection:
    """The section of a network that has these parameters."""
    bases = {_base(name) for name in tensors}
    biases = {name for name in bases if name.startswith("b_")}
    if isinstance(layout, MLPLayout):
        section = MLPSection(
            inputs="embedding" if "W_E" in bases else "one-hot",
            join="concatenate" if "W_in_b" in bases else "add",
            vocabularies="separate" if "W_E_b" in bases else "shared",
            activation=layout.model.activation,
            d_mlp=sizes["d_mlp"],
            biases="all" if biases else "none",
        )
        return replace(section, d_model=sizes.get("d_model") or section.d_model)
    facts = msgspec.structs.asdict(layout.model)
    facts |= {axis: sizes[axis] for axis in ("d_model", "heads", "d_head", "d_mlp")}
    facts["vocabularies"] = "separate" if "W_E_b" in bases else "shared"
    facts["layers"] = sum(_base(name) == "W_Q" for name in tensors)
    facts["biases"] = "none" if not biases else "mlp" if biases <= {"b_in", "b_out"} else "all"
    return TransformerSection(**facts)


def _listed(state: StateDict, layout: Layout, where: str) -> dict[str, Tensor]:
    """The tensors of the layout that are there, by parameter."""
    parameters, ignored = _parameters(state, layout), layout.file.ignore
    for name, tensor in parameters.items():
        if tensor.source not in state and not tensor.optional:
            message = unknown(tensor.source, list(state)[:MOST_KNOWN], "tensor of this file")
            raise InvalidInput(where, f"{tensor.source}, which is to be {name}, {message}")
    sources = {tensor.source for tensor in parameters.values()}
    for name, leaf in state.items():
        if name in sources or not is_tensor(leaf):
            continue
        if not any(fnmatchcase(name, pattern) for pattern in ignored):
            raise InvalidInput(where, f"{name} {_left_over(name, layout)}")
    return {name: tensor for name, tensor in parameters.items() if tensor.source in state}


def _left_over(name: str, layout: Layout) -> str:
    """Why a tensor of the file is no parameter."""
    if isinstance(layout, TransformerLayout):
        norms = layout.tensors.listed(LAYER_NORMS)
        if any(fnmatchcase(name, t.source.replace(LAYER, "*")) for t in norms.values()):
            return f"is of a LayerNorm, but model.layer_norm is {layout.model.layer_norm}"
    return "is not in the layout: list it, or file.ignore it if it is no parameter"


def _parameters(state: StateDict, layout: Layout) -> dict[str, Tensor]:
    """The tensors of the layout, by parameter; the file tells how many layers there are."""
    if isinstance(layout, MLPLayout):
        return layout.listed
    query, layers = layout.tensors.W_Q, layout.model.layers
    if layers is None:
        first = layout.file.first_layer
        names = (query.of_layer(first + number).source for number in range(MOST_LAYERS))
        layers = sum(1 for _ in takewhile(state.__contains__, dict.fromkeys(names)))
    return layout.parameters(max(1, layers))


def _place(leaf: Any, array: NDArray[Any]) -> str:
    """Where a tensor lies: the same for two names of one tensor."""
    return str(getattr(leaf, "place", array.ctypes.data))


def _array(leaf: Any, where: str) -> NDArray[Any]:
    """A tensor of a file as it is there. Raises InvalidInput unless it holds finite floats."""
    array = read_array(leaf, where)
    if not np.issubdtype(array.dtype, np.floating):
        raise InvalidInput(where, f"holds {array.dtype}, and parameters are floating-point numbers")
    with np.errstate(over="ignore"):
        bad = int((~np.isfinite(array.astype(np.float32))).sum())
    if bad:
        raise InvalidInput(where, f"{bad} of {array.size} values are not finite numbers of float32")
    return array


def _cut_all(
    tensors: Mapping[str, Tensor], arrays: StateDict, sizes: Sizes, where: str
) -> dict[str, NDArray[Any]]:
    """The parts of all tensors: those first that tell the sizes in the slices of others."""
    cut: dict[str, NDArray[Any]] = {}
    while waiting := {name: tensor for name, tensor in tensors.items() if name not in cut}:
        ready = {n: t for n, t in waiting.items() if not t.needs - sizes.known.keys()}
        for name, tensor in ready.items():
            cut[name] = _cut(arrays[tensor.source], tensor, sizes, where)
        if not ready:
            name, tensor = next(iter(waiting.items()))
            lacks = sorted(tensor.needs - sizes.known.keys())[0]
            stated = {"p": "task.modulus", "vocabulary": "task.modulus", "heads": "model.heads"}
            message = f"slice {tensor.slice!r} of {name} uses {lacks}, which no tensor tells before"
            hint = f"; state {stated[lacks]}" if lacks in stated else ""
            raise InvalidInput(where, message + hint)
    return cut


def _cut(array: NDArray[Any], tensor: Tensor, sizes: Sizes, where: str) -> NDArray[Any]:
    """The part of a tensor that the layout wants; its sizes are noted."""
    try:
        cut: NDArray[Any] = array[index_of(tensor.slice, sizes.known)]
        fits = cut.ndim == len(tensor.groups) and cut.size > 0
    except IndexError:
        fits = False
    if not fits:
        after = f" after slicing {tensor.slice!r}" if tensor.slice else ""
        raise InvalidInput(where, f"{_who(tensor, array)} has not these axes{after}")
    _note(tensor, cut, sizes, alone=True)
    return cut


def _note(tensor: Tensor, array: NDArray[Any], sizes: Sizes, alone: bool) -> None:
    """Note the axes that stand alone, or those that share one."""
    for axes, length in zip(tensor.groups, array.shape, strict=True):
        if (len(axes) == 1) == alone:
            sizes.note(axes, length, _who(tensor, array))


def _who(tensor: Tensor, array: NDArray[Any]) -> str:
    return f"{tensor.source} {array.shape} as {tensor.axes!r}"


def _arranged(
    array: NDArray[Any], tensor: Tensor, canonical: str, sizes: Sizes
) -> NDArray[np.float32]:
    lengths = {axis: sizes[axis] for axis in tensor.names if axis != "1"}
    arranged = einops.rearrange(array, f"{tensor.axes} -> {canonical}", **lengths)
    return np.array(arranged, dtype=np.float32, order="C")  # a copy: a file's are read-only
