"""The parameters of each family, and how a layout describes the tensors of a file by their axes.

An axis has a name, a tensor its axes in the file's own order, as einops writes them. What they
become is fixed by the tables here, so transposing and reshaping need no other words.
"""

import re
from collections.abc import Iterable, Mapping
from math import prod

from grokprobe.errors import InvalidInput
from trainer.config.toml import Section, unknown

# vocabulary = p, and one more where "=" is a token: the last row, or W_equals if that lies apart.
OF_TRANSFORMER = {
    "W_E": "vocabulary d_model",
    "W_E_b": "p d_model",
    "W_equals": "d_model",
    "W_pos": "tokens d_model",
    "W_U": "d_model p",
    "b_U": "p",
    "ln_final_w": "d_model",
    "ln_final_b": "d_model",
}
OF_LAYER = {
    "W_Q": "d_model (heads d_head)",
    "W_K": "d_model (heads d_head)",
    "W_V": "d_model (heads d_head)",
    "W_O": "(heads d_head) d_model",
    "W_in": "d_model d_mlp",
    "W_out": "d_mlp d_model",
    "b_Q": "(heads d_head)",
    "b_K": "(heads d_head)",
    "b_V": "(heads d_head)",
    "b_O": "d_model",
    "b_in": "d_mlp",
    "b_out": "d_model",
    "ln1_w": "d_model",
    "ln1_b": "d_model",
    "ln2_w": "d_model",
    "ln2_b": "d_model",
}
LAYER_NORMS = [name for name in OF_TRANSFORMER | OF_LAYER if name.startswith("ln")]
OF_EMBEDDED_MLP = {
    "W_E": "p d_model",
    "W_E_b": "p d_model",
    "W_in": "d_model d_mlp",
    "W_in_b": "d_model d_mlp",
    "W_out": "d_mlp p",
    "b_in": "d_mlp",
    "b_out": "p",
}
OF_ONE_HOT_MLP = {
    "W_in": "p d_mlp",
    "W_in_b": "p d_mlp",
    "W_out": "d_mlp p",
    "b_in": "d_mlp",
    "b_out": "p",
}
LAYER = "{layer}"  # in a name or a slice: the number of the layer, from file.first_layer on
SIZES = ("p", "vocabulary", "tokens", "d_model", "heads", "d_head", "d_mlp")  # axes, as numbers
PRODUCT = r"(?:[0-9]{1,9}|[a-z]\w*)(?:\*(?:[0-9]{1,9}|[a-z]\w*))*"
BOUND = rf"-?{PRODUCT}(?:[+-]{PRODUCT})*"
AXIS = r"\w+|\(\w+(?: \w+)*\)"
AXES = re.compile(rf"(?:{AXIS})(?: (?:{AXIS}))*")
PART = re.compile(rf"({BOUND})|({BOUND})?:({BOUND})?")


class Tensor(Section, frozen=True, kw_only=True):
    """One parameter: its name in the file and its axes there, after slicing."""

    source: str
    axes: str
    slice: str = ""  # as numpy's, of integers, sizes and {layer}: ":, d_model:2*d_model"
    optional: bool = False  # of a bias: files without it are networks without it

    @property
    def names(self) -> list[str]:
        """The axes without their grouping."""
        return re.findall(r"\w+", self.axes)

    @property
    def groups(self) -> list[list[str]]:
        """The axes of each dimension."""
        return [re.findall(r"\w+", part) for part in re.findall(AXIS, self.axes)]

    @property
    def needs(self) -> set[str]:
        """The sizes in its slice."""
        return set(re.findall(r"[a-z]\w*", self.slice.replace(LAYER, "0")))

    def of_layer(self, number: int) -> "Tensor":
        """The tensor of the layer that has this number in the file."""
        source, cut = (text.replace(LAYER, str(number)) for text in (self.source, self.slice))
        return Tensor(source=source, axes=self.axes, slice=cut, optional=self.optional)


def index_of(cut: str, sizes: Mapping[str, int]) -> tuple[slice | int, ...]:
    """A `slice` as an index of arrays. Raises InvalidInput for one that is none of these sizes."""
    found: list[slice | int] = []
    for part in filter(None, (part.replace(" ", "") for part in cut.split(","))):
        match = PART.fullmatch(part)
        if match is None:
            raise InvalidInput("slice", f"{part!r} is not START:STOP of integers and sizes")
        single, start, stop = (_bound(text, sizes) if text else None for text in match.groups())
        found.append(slice(start, stop) if single is None else single)
    return tuple(found)


def _bound(text: str, sizes: Mapping[str, int]) -> int:
    """The value of `2*d_model` or `p+1`."""
    terms = re.findall(r"([+-]?)([\w*]+)", text)
    return sum((-1 if sign == "-" else 1) * _product(term, sizes) for sign, term in terms)


def _product(term: str, sizes: Mapping[str, int]) -> int:
    factors = term.split("*")
    for name in factors:
        if not name.isdigit() and name not in sizes:
            raise InvalidInput("slice", f"{name} {unknown(name, sizes, 'size')}")
    return prod(int(name) if name.isdigit() else sizes[name] for name in factors)


def check_tensor(name: str, tensor: Tensor, canonical: str) -> None:
    """Raise InvalidInput, with the dotted field, unless a parameter is described in full."""
    field = f"tensors.{name}"
    expected = re.findall(r"\w+", canonical)
    named = sorted(axis for axis in tensor.names if axis != "1")
    if not AXES.fullmatch(tensor.axes) or named != sorted(expected):
        message = f"must have the axes {', '.join(expected)}, each once, got {tensor.axes!r}"
        raise InvalidInput(f"{field}.axes", message)
    if tensor.optional and not name.startswith("b_"):
        raise InvalidInput(f"{field}.optional", "only a bias can be left out")
    try:
        index_of(tensor.of_layer(0).slice, dict.fromkeys(SIZES, 1))
    except InvalidInput as error:
        raise InvalidInput(f"{field}.slice", error.message) from None


class Tensors(Section, frozen=True, kw_only=True):
    """Where each parameter is; a bias that is not listed is one that the network lacks."""

    def listed(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of these parameters, without those that are not listed."""
        found = {name: getattr(self, name, None) for name in names}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


class TransformerTensors(Tensors, frozen=True, kw_only=True):
    """The tensors of a transformer; {layer} in a source stands for the layer's number.

    W_E_b is b's own vocabulary, W_equals the row of "=" where W_E has none. Without W_pos there are
    no positions, which vocabularies of their own can stand in for.
    """

    W_E: Tensor
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_in: Tensor
    W_out: Tensor
    W_U: Tensor
    W_E_b: Tensor | None = None
    W_equals: Tensor | None = None
    W_pos: Tensor | None = None
    b_Q: Tensor | None = None
    b_K: Tensor | None = None
    b_V: Tensor | None = None
    b_O: Tensor | None = None
    b_in: Tensor | None = None
    b_out: Tensor | None = None
    b_U: Tensor | None = None
    ln1_w: Tensor | None = None
    ln1_b: Tensor | None = None
    ln2_w: Tensor | None = None
    ln2_b: Tensor | None = None
    ln_final_w: Tensor | None = None
    ln_final_b: Tensor | None = None


class MLPTensors(Tensors, frozen=True, kw_only=True):
    """The tensors of an MLP: without W_E its inputs are one-hot; W_in_b and W_E_b are b's own."""

    W_in: Tensor
    W_out: Tensor
    W_E: Tensor | None = None
    W_E_b: Tensor | None = None
    W_in_b: Tensor | None = None
    b_in: Tensor | None = None
    b_out: Tensor | None = None
