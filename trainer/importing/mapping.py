"""From the tensors of somebody else's file to the parameters of a network of models/.

The sizes of the network are read off the tensors by the names of their axes: two tensors that
disagree about one are an error that names both, in the file's own terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from math import prod
from typing import Any

import einops
import msgspec
import numpy as np
import torch
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
from trainer.importing.layout import Layout, MLPLayout, TransformerLayout
from trainer.importing.tensors import LAYER, LAYER_NORMS, Tensor, index_of
from trainer.measuring.measures import weight_norms
from trainer.models.export import Weights

StateDict = Mapping[str, Any]  # the tensors of one checkpoint, by their names in the file


@dataclass(frozen=True)
class ForeignNetwork:
    """A checkpoint that others trained, as a section and parameters of models/."""

    section: ModelSection  # but for its initialisation, which nobody knows
    modulus: int
    modulus_by: str  # who said so
    weights: Weights  # all but biases and positions that the file lacks
    norms: dict[str, float | None]  # of the file's tensors, whole, each once

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
    ordered = sorted(tensors.items(), key=lambda item: "p" in item[1].slice)  # others may tell p
    cut = {name: _cut(arrays[t.source], t, sizes, where) for name, t in ordered}
    for name, tensor in tensors.items():  # axes that share one, now that all others are known
        _note(tensor, cut[name], sizes, alone=False)
    distinct = {str(_address(state[source])): array for source, array in arrays.items()}
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
    )


def _base(name: str) -> str:
    """A parameter's name without its layer."""
    return name.rpartition(".")[2]


def _section(layout: Layout, tensors: Mapping[str, Tensor], sizes: "Sizes") -> ModelSection:
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


class Sizes:
    """How long each axis is, and who said so first."""

    def __init__(self, layout: Layout, where: str) -> None:
        self._where, self._equals = where, 0
        self._known = {"1": (1, "its name")}
        if isinstance(layout, TransformerLayout):
            self._equals = int(layout.model.tokens == "a b =")
            self._known["tokens"] = (2 + self._equals, "model.tokens")
            if layout.model.heads is not None:
                self._known["heads"] = (layout.model.heads, "model.heads")
        if layout.task.modulus is not None:
            self._know_modulus(layout.task.modulus, "task.modulus")

    def _know_modulus(self, p: int, who: str) -> None:
        self._known["p"] = (p, who)
        self._known["vocabulary"] = (p + self._equals, who)

    def __getitem__(self, axis: str) -> int:
        return self._known[axis][0]

    def who(self, axis: str) -> str:
        """Who said how long an axis is."""
        return self._known[axis][1]

    def get(self, axis: str) -> int | None:
        """The length of an axis; None if nobody has said so yet."""
        return self[axis] if axis in self._known else None

    def note(self, axes: list[str], length: int, who: str) -> None:
        """Note that `who` makes axes, multiplied, so long. Raises InvalidInput if others do not."""
        missing = [axis for axis in axes if axis not in self._known]
        known = [axis for axis in axes if axis in self._known]
        rest = prod(self[axis] for axis in known)
        if len(missing) > 1:
            message = f"{who} does not tell {' from '.join(missing)}; state model.heads"
            raise InvalidInput(self._where, message)
        if length % rest if missing else length != rest:
            others = " and ".join(dict.fromkeys(self._known[axis][1] for axis in known))
            message = f"{who} makes {' * '.join(axes)} {length}, but {' * '.join(known)} is {rest}"
            raise InvalidInput(self._where, f"{message} by {others}")
        for axis in missing:
            self._known[axis] = (length // rest, who)
            if axis in ("p", "vocabulary"):
                self._know_modulus(length // rest - self._equals * (axis != "p"), who)


def _listed(state: StateDict, layout: Layout, where: str) -> dict[str, Tensor]:
    """The tensors of the layout that are there, by parameter."""
    parameters, ignored = _parameters(state, layout), layout.file.ignore
    for name, tensor in parameters.items():
        if tensor.source not in state and not tensor.optional:
            message = unknown(tensor.source, state, "tensor of this file")
            raise InvalidInput(where, f"{tensor.source}, which is to be {name}, {message}")
    sources = {tensor.source for tensor in parameters.values()}
    for name in state:
        if name not in sources and not any(fnmatchcase(name, pattern) for pattern in ignored):
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
        names = (query.of_layer(number).source for number in range(MOST_LAYERS))
        layers = sum(1 for _ in takewhile(state.__contains__, dict.fromkeys(names)))
    return layout.parameters(max(1, layers))


def _address(leaf: Any) -> int:
    """Where a tensor lies: the same for two names of one tensor."""
    return int(leaf.data_ptr() if isinstance(leaf, torch.Tensor) else leaf.ctypes.data)


def _array(leaf: Any, where: str) -> NDArray[Any]:
    """A tensor of a file as it is there. Raises InvalidInput unless it holds finite floats."""
    if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided and not leaf.is_meta:
        half = leaf.is_floating_point() and leaf.itemsize < 4  # numpy does not know bfloat16
        leaf = leaf.detach().to(torch.float32 if half else leaf.dtype).numpy()
    if not isinstance(leaf, np.ndarray):
        raise InvalidInput(where, f"is no dense tensor of numbers but a {type(leaf).__name__}")
    if not np.issubdtype(leaf.dtype, np.floating):
        raise InvalidInput(where, f"holds {leaf.dtype}, and parameters are floating-point numbers")
    with np.errstate(over="ignore"):
        bad = int((~np.isfinite(leaf.astype(np.float32))).sum())
    if bad:
        raise InvalidInput(where, f"{bad} of {leaf.size} values are not finite numbers of float32")
    return leaf


def _cut(array: NDArray[Any], tensor: Tensor, sizes: Sizes, where: str) -> NDArray[Any]:
    """The part of a tensor that the layout wants; its sizes are noted."""
    try:
        cut: NDArray[Any] = array[index_of(tensor.slice, sizes.get("p"))]
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
    return np.ascontiguousarray(arranged, dtype=np.float32)
