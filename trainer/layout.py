"""A layout: how the checkpoints that somebody else trained are read (layouts/*.toml).

Each tensor of a file is described by its axes, in the file's own order, as einops writes them:
"heads d_head d_model", or "d_model (heads d_head)" where two lie in one. What they become is fixed
by CANONICAL, so transposing and reshaping need no other words.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.task import Operation, Seed
from trainer import sections
from trainer.config import NetworkSection, Positive, Step
from trainer.sections import Section

LAYOUTS = Path(__file__).parent / "layouts"

# The parameters of models/transformer.py. vocabulary = p, and one more where "=" is a token.
CANONICAL = {
    "W_E": "vocabulary d_model",
    "W_pos": "tokens d_model",
    "W_Q": "d_model (heads d_head)",
    "W_K": "d_model (heads d_head)",
    "W_V": "d_model (heads d_head)",
    "W_O": "(heads d_head) d_model",
    "W_in": "d_model d_mlp",
    "W_out": "d_mlp d_model",
    "W_U": "d_model p",
    "b_Q": "(heads d_head)",
    "b_K": "(heads d_head)",
    "b_V": "(heads d_head)",
    "b_O": "d_model",
    "b_in": "d_mlp",
    "b_out": "d_model",
    "b_U": "p",
}
BOUND = r"-?[0-9]{1,9}|p"
AXIS = r"\w+|\(\w+(?: \w+)*\)"
AXES = re.compile(rf"(?:{AXIS})(?: (?:{AXIS}))*")
PART = re.compile(rf"({BOUND})|({BOUND})?:({BOUND})?")


class TaskSection(Section, frozen=True, kw_only=True):
    """What was learned; the modulus is read off the embedding where it is left out."""

    operation: Operation = "add"
    modulus: Annotated[int, msgspec.Meta(ge=3)] | None = None


class LayoutModelSection(NetworkSection, frozen=True, kw_only=True):
    """What the tensors do not tell."""

    heads: Positive | None = None  # needed where no tensor has `heads` as an axis of its own


class FileSection(Section, frozen=True, kw_only=True):
    """Where in a file the network lies."""

    state: str = ""  # dotted path of the state dictionary, or of a list: one checkpoint each
    ignore: list[str] = msgspec.field(default_factory=list)  # patterns (fnmatch) of no parameters


class StepSection(Section, frozen=True, kw_only=True):
    """Where the step number is found: one of these."""

    pattern: str | None = None  # a regular expression on the file's name, its group the number
    field: str | None = None  # dotted path of the number in the file; of a list where `state` is
    number: Step | None = None  # what --step says


class UnknownSplit(Section, frozen=True, kw_only=True, tag_field="kind", tag="unknown"):
    """Nobody knows which pairs were trained on: train and test figures are null."""


class MaskSplit(Section, frozen=True, kw_only=True, tag_field="kind", tag="mask"):
    """The train mask: bool, p*p of them in the order a*p + b."""

    file: str | None = None  # an .npy file; else
    field: str | None = None  # the dotted path in the checkpoint's own file


class PairsSplit(Section, frozen=True, kw_only=True, tag_field="kind", tag="pairs"):
    """The train pairs: a list of [a, b]."""

    file: str | None = None  # an .npy or .json file; else
    field: str | None = None  # the dotted path in the checkpoint's own file


class ShuffleSplit(Section, frozen=True, kw_only=True, tag_field="kind", tag="shuffle"):
    """The first of all pairs in lexicographic order after Python's random.seed and shuffle."""

    train_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    seed: Seed


Split = UnknownSplit | MaskSplit | PairsSplit | ShuffleSplit


class Tensor(Section, frozen=True, kw_only=True):
    """One parameter: its name in the file and its axes there, after slicing."""

    source: str
    axes: str
    slice: str = ""  # as numpy's, of integers and p: ":, :p"
    optional: bool = False  # of a bias: files without it are networks without it

    @property
    def names(self) -> list[str]:
        """The axes without their grouping."""
        return re.findall(r"\w+", self.axes)

    @property
    def groups(self) -> list[list[str]]:
        """The axes of each dimension."""
        return [re.findall(r"\w+", part) for part in re.findall(AXIS, self.axes)]


def index(cut: str, p: int | None) -> tuple[slice | int, ...]:
    """A `slice` as an index of arrays. Raises InvalidInput if it needs p and that is unknown."""

    def number(text: str) -> int | None:
        if text == "p" and p is None:
            raise InvalidInput("task.modulus", f"must be stated, because slice {cut!r} uses p")
        return p if text == "p" else int(text) if text else None

    found: list[slice | int] = []
    for part in filter(None, (part.strip() for part in cut.split(","))):
        match = PART.fullmatch(part)
        if match is None:
            raise InvalidInput("slice", f"{part!r} is not START:STOP of integers and p")
        single, start, stop = (number(text or "") for text in match.groups())
        found.append(slice(start, stop) if single is None else single)
    return tuple(found)


class TensorsSection(Section, frozen=True, kw_only=True):
    """Where each parameter is; a bias that is not listed is one that the network lacks."""

    W_E: Tensor
    W_pos: Tensor
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    W_in: Tensor
    W_out: Tensor
    W_U: Tensor
    b_Q: Tensor | None = None
    b_K: Tensor | None = None
    b_V: Tensor | None = None
    b_O: Tensor | None = None
    b_in: Tensor | None = None
    b_out: Tensor | None = None
    b_U: Tensor | None = None


class Layout(Section, frozen=True, kw_only=True):
    """A whole layout: what `run.json` carries of an imported run."""

    task: TaskSection = TaskSection()
    model: LayoutModelSection = LayoutModelSection()
    file: FileSection = FileSection()
    step: StepSection = StepSection()
    split: Split = UnknownSplit()
    tensors: TensorsSection

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The tensors that are listed, by parameter, in the order of CANONICAL."""
        listed = {name: getattr(self.tensors, name) for name in CANONICAL}
        return {name: tensor for name, tensor in listed.items() if tensor is not None}


def _check_tensor(name: str, tensor: Tensor) -> None:
    field = f"tensors.{name}"
    expected = re.findall(r"\w+", CANONICAL[name])
    named = sorted(axis for axis in tensor.names if axis != "1")
    if not AXES.fullmatch(tensor.axes) or named != sorted(expected):
        message = f"must have the axes {', '.join(expected)}, each once, got {tensor.axes!r}"
        raise InvalidInput(f"{field}.axes", message)
    if tensor.optional and not name.startswith("b_"):
        raise InvalidInput(f"{field}.optional", "only a bias can be left out")
    try:
        index(tensor.slice, p=1)
    except InvalidInput as error:
        raise InvalidInput(f"{field}.slice", error.message) from None


def _check_step(step: StepSection) -> None:
    stated = [name for name in step.__struct_fields__ if getattr(step, name) is not None]
    if len(stated) != 1:
        message = (
            f"one of pattern, field or --step says the step, got {' and '.join(stated) or 'none'}"
        )
        raise InvalidInput("step", message)
    try:
        groups = re.compile(step.pattern or "()").groups
    except re.error as error:
        raise InvalidInput("step.pattern", f"is not a regular expression: {error}") from None
    if groups != 1:
        raise InvalidInput("step.pattern", f"must have one group, the number, got {step.pattern!r}")


def check(layout: Layout) -> None:
    """What no single field's limits can say. Raises InvalidInput with the dotted field."""
    if layout.task.operation == "random":
        raise InvalidInput(
            "task.operation", "a random table is drawn by whoever trains; not this one"
        )
    for name, tensor in layout.parameters.items():
        _check_tensor(name, tensor)
    _check_step(layout.step)
    split = layout.split
    if isinstance(split, MaskSplit | PairsSplit) and (split.file is None) == (split.field is None):
        raise InvalidInput(
            "split", f"{split.__struct_config__.tag} needs a file or a field, one of them"
        )


def load(name: str, assignments: Iterable[str] = (), step: int | None = None) -> Layout:
    """A layout by the name of a shipped one or from a `.toml` file, changed as `--set` says.

    `step` is that of the command line. Raises InvalidInput that names the file, or `--set`, and the
    dotted field.
    """
    own = name.endswith(".toml")
    path = Path(name) if own else sections.shipped(name, LAYOUTS, "layout")
    raw, sources = sections.read(path, assignments)
    if step is not None:
        raw["step"] = {"number": step}
        sources["step.number"] = "--step"
    return sections.decode(raw, Layout, check, path.name, sources)
