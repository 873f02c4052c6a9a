"""A layout: how the checkpoints that somebody else trained are read (layouts/*.toml).

A layout is of one family. Each tensor of a file is described by its axes (tensors.py).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.task import Operation, Residues
from trainer.config import toml as sections
from trainer.config.schema import Activation, Layers, Positive, TransformerShape
from trainer.config.toml import Section, Sources
from trainer.importing.elements import Composition, check_elements, numbers_of
from trainer.importing.layouts.splits import Split, UnknownSplit, check_split, of_kind
from trainer.importing.layouts.steps import StepSection, check_step, step_section
from trainer.importing.tensors import (
    OF_EMBEDDED_MLP,
    OF_LAYER,
    OF_ONE_HOT_MLP,
    OF_TRANSFORMER,
    MLPTensors,
    Tensor,
    TransformerTensors,
    check_tensor,
)

LAYOUTS = Path(__file__).parent / "layouts"


class LayoutTask(Section, frozen=True, kw_only=True):
    """What was learned; the modulus is read off the embedding where it is left out."""

    operation: Operation = "add"
    modulus: Annotated[int, msgspec.Meta(ge=3)] | None = None
    order: str = "lexicographic"  # of the elements in the files: a name, or a file that lists them
    composition: Composition = "left"  # the side from which permutations act: of s5

    def check(self) -> None:
        """Raise InvalidInput, with the dotted field, for an order that is none of the operation."""
        check_elements(self.operation, self.order, self.composition)

    def numbers(self, modulus: int) -> Residues:
        """The number in the files of each of our elements, (p,). Raises InvalidInput."""
        return numbers_of(self.operation, modulus, self.order, self.composition)


class TransformerModel(
    TransformerShape, frozen=True, kw_only=True, tag_field="family", tag="transformer"
):
    """What the tensors of a transformer do not tell of it."""

    layers: Layers | None = None  # needed where no {layer} in the name of W_Q tells it
    heads: Positive | None = None  # needed where no tensor has `heads` as an axis of its own


class MLPModel(Section, frozen=True, kw_only=True, tag_field="family", tag="mlp"):
    """What the tensors of an MLP do not tell of it."""

    activation: Activation = "quadratic"


class FileSection(Section, frozen=True, kw_only=True):
    """Where in a file the network lies."""

    state: str = ""  # dotted path of the state dictionary, or of a list: one checkpoint each
    ignore: list[str] = msgspec.field(default_factory=list)  # patterns (fnmatch) of no parameters
    first_layer: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0  # which {layer} names begin with


class BaseLayout(Section, frozen=True, kw_only=True):
    """The fields that layouts of every family have."""

    task: LayoutTask = LayoutTask()
    file: FileSection = FileSection()
    step: StepSection = StepSection()
    split: Split = UnknownSplit()


class TransformerLayout(BaseLayout, frozen=True, kw_only=True):
    """The layout of a transformer: what `run.json` carries of an imported run."""

    model: TransformerModel = TransformerModel()
    tensors: TransformerTensors

    @property
    def canonical(self) -> dict[str, str]:
        """The axes of each parameter of such a network, those of a layer once."""
        norm = self.model.layer_norm
        absent = {"none": "ln", "post": "ln_final"}.get(norm, "-")
        axes = OF_TRANSFORMER | OF_LAYER
        apart = self.tensors.W_equals is not None
        if self.model.tokens == "a b":  # either word will do
            apart = "p" in self.tensors.W_E.names
        if apart:
            axes["W_E"] = "p d_model"
        return {name: each for name, each in axes.items() if not name.startswith(absent)}

    @property
    def listed(self) -> dict[str, Tensor]:
        """The tensors that the layout lists, by parameter; {layer} still in them."""
        return self.tensors.listed(self.canonical)

    def parameters(self, layers: int) -> dict[str, Tensor]:
        """The tensors of a network of so many layers, by its parameters."""
        if layers == 1 and self.model.layer_norm == "none":
            first = self.file.first_layer
            return {name: tensor.of_layer(first) for name, tensor in self.listed.items()}
        others = {name: tensor for name, tensor in self.listed.items() if name not in OF_LAYER}
        return others | {
            f"blocks.{layer}.{name}": tensor.of_layer(self.file.first_layer + layer)
            for layer in range(layers)
            for name, tensor in self.listed.items()
            if name in OF_LAYER
        }


class MLPLayout(BaseLayout, frozen=True, kw_only=True):
    """The layout of an MLP: what `run.json` carries of an imported run."""

    model: MLPModel = MLPModel()
    tensors: MLPTensors

    @property
    def canonical(self) -> dict[str, str]:
        """The axes of each parameter of such a network."""
        return OF_ONE_HOT_MLP if self.tensors.W_E is None else OF_EMBEDDED_MLP

    @property
    def listed(self) -> dict[str, Tensor]:
        """The tensors that the layout lists, by parameter."""
        return self.tensors.listed(self.canonical)


Layout = TransformerLayout | MLPLayout
FAMILIES: dict[str, type[Layout]] = {"transformer": TransformerLayout, "mlp": MLPLayout}


def _check_listed(layout: Layout) -> None:
    """Raise InvalidInput for a tensor that goes with another, or with a LayerNorm, and is alone."""
    for name in layout.canonical:
        if name.startswith("ln") and name not in layout.listed:
            assert isinstance(layout, TransformerLayout)
            message = f"must be listed where model.layer_norm is {layout.model.layer_norm}"
            raise InvalidInput(f"tensors.{name}", message)
    if layout.tensors.W_E_b is not None and layout.tensors.W_E is None:
        raise InvalidInput("tensors.W_E_b", "is b's embedding; list that of a, W_E, too")
    if "W_equals" in layout.listed and getattr(layout.model, "tokens", None) == "a b":
        message = "is the embedding of =, which is no token where model.tokens is 'a b'"
        raise InvalidInput("tensors.W_equals", message)


def check(layout: Layout) -> None:
    """Check what no single field's limits can. Raises InvalidInput with the dotted field."""
    if layout.task.operation == "random":
        raise InvalidInput(
            "task.operation", "a random table is drawn by whoever trains; not this one"
        )
    layout.task.check()
    for name, tensor in layout.listed.items():
        check_tensor(name, tensor, layout.canonical[name])
    _check_listed(layout)
    check_step(layout.step)
    check_split(layout.split)


def _kind(raw: dict[str, Any], source: str, sources: Sources) -> type[Layout]:
    """The kind of layout that is meant, a transformer's unless [model] says otherwise."""
    model = raw.get("model")
    family = model.get("family", "transformer") if isinstance(model, dict) else "transformer"
    if family not in FAMILIES:
        where = f"{sources.get('model.family', source)}: model.family"
        raise InvalidInput(where, f"unknown family, known: {', '.join(FAMILIES)}, got {family!r}")
    return FAMILIES[family]


def load_layout(
    name: str,
    assignments: Iterable[str] = (),
    step: int | None = None,
    steps: str | None = None,
    told: Callable[[], dict[str, Any]] | None = None,
) -> Layout:
    """A layout by the name of a shipped one or from a `.toml` file, changed as `--set` says.

    `step` and `steps` are those of the command line: one number, and numbers with commas between
    them or a pattern of file names. `told` reads the tables of a layout that a file of weights
    tells. Raises InvalidInput that names the file, or `--set`, and the dotted field.
    """
    free = sections.texts(FAMILIES.values())
    if told is not None:
        path = Path(name)
        raw, sources = sections.assigned(told(), assignments, free)
    else:
        own = name.endswith(".toml")
        path = Path(name) if own else sections.shipped(name, LAYOUTS, "layout")
        raw, sources = sections.read_toml(path, assignments, free)
    if step is not None:
        raw["step"] = {"number": step}
        sources["step.number"] = "--step"
    if steps is not None:
        given = msgspec.structs.asdict(step_section(steps))
        raw["step"] = {name: value for name, value in given.items() if value is not None}
        sources |= dict.fromkeys(("step.pattern", "step.numbers"), "--steps")
    if "split.kind" in sources and isinstance(raw["split"], dict):
        own_split = {field.removeprefix("split.") for field in sources}
        raw["split"] = of_kind(raw["split"], own_split)
    kind = _kind(raw, path.name, sources)
    return sections.decode_sections(raw, kind, check, path.name, sources)
