"""The split of a layout: how its kinds say which pairs were trained on."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, get_args

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.task import Seed
from trainer.config.toml import Section


class UnknownSplit(Section, frozen=True, kw_only=True, tag_field="kind", tag="unknown"):
    """Nobody knows which pairs were trained on: train and test figures are null."""


class StatedSplit(Section, frozen=True, kw_only=True):
    """A split that lies in a file."""

    file: str | None = None  # .npy, .json, or a file of weights; else the checkpoint's own
    field: str | None = None  # the path in it; left out where the file holds nothing else


class MaskSplit(StatedSplit, frozen=True, kw_only=True, tag_field="kind", tag="mask"):
    """The train mask: bool, p*p of them in the order a*p + b."""


class PairsSplit(StatedSplit, frozen=True, kw_only=True, tag_field="kind", tag="pairs"):
    """The train pairs: a list of [a, b], or of [a, b, p] where "=" is a token."""


class IndicesSplit(StatedSplit, frozen=True, kw_only=True, tag_field="kind", tag="indices"):
    """The train pairs: a list of a*p + b."""


class ShuffleSplit(Section, frozen=True, kw_only=True, tag_field="kind", tag="shuffle"):
    """The train pairs: the first of all in lexicographic order after Python's random.shuffle."""

    train_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    seed: Seed


class PermutedSplit(ShuffleSplit, frozen=True, kw_only=True, tag_field="kind", tag="randperm"):
    """The train pairs: the first, or last, of all in lexicographic order after torch.randperm."""

    first: Literal["train", "test"] = "train"  # which part the permutation begins with


Split = UnknownSplit | MaskSplit | PairsSplit | IndicesSplit | ShuffleSplit | PermutedSplit


def check_split(split: Split) -> None:
    """Raise InvalidInput for a split that lies nowhere."""
    if isinstance(split, StatedSplit) and split.file is None and split.field is None:
        message = f"{split.__struct_config__.tag} needs a file, or a field of the checkpoint's own"
        raise InvalidInput("split", message)


def of_kind(table: dict[str, Any], kept: Collection[str]) -> dict[str, Any]:
    """A [split] whose kind the command line changed, without what only the old kind has."""
    kinds = {part.__struct_config__.tag: part.__struct_fields__ for part in get_args(Split)}
    fields = kinds.get(str(table["kind"]), table)
    return {name: v for name, v in table.items() if name in ("kind", *fields, *kept)}
