"""Ensembles: one configuration with lists for some of its fields, one run for each combination.

    [ensemble]
    seeds = [0, 1, 2, 3]            training.seed
    weight_decays = [0.3, 1.0]      optimiser.weight_decay
    learning_rates = [1e-3]         optimiser.learning_rate
    train_fractions = [0.3, 0.4]    task.train_fraction

These are what can differ between networks that one computation trains (learning/learner.py); for
all else there are sweeps.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated

import msgspec

from grokprobe.errors import InvalidInput
from grokprobe.store.records import check_run_name
from trainer.config import toml as sections
from trainer.config.schema import Config, decode_config, default_run_name, name_of
from trainer.config.toml import Section

MOST_MEMBERS = 1024
FIELDS = {
    "seeds": ("training", "seed"),
    "weight_decays": ("optimiser", "weight_decay"),
    "learning_rates": ("optimiser", "learning_rate"),
    "train_fractions": ("task", "train_fraction"),
}

MemberValues = Annotated[list[int | float], msgspec.Meta(min_length=1)]


class EnsembleSection(Section, frozen=True, kw_only=True):
    """The lists of values of an ensemble; a field without one does not vary."""

    seeds: MemberValues | None = None
    weight_decays: MemberValues | None = None
    learning_rates: MemberValues | None = None
    train_fractions: MemberValues | None = None


class _File(Section, frozen=True, kw_only=True):
    ensemble: EnsembleSection


def load_ensemble(path: Path, assignments: Iterable[str] = ()) -> tuple[list[Config], bool]:
    """The configurations of a file, the last list fastest, and whether they are an ensemble.

    Raises InvalidInput that names the file, or `--set`, and the dotted field.
    """
    raw, sources = sections.read_toml(path, assignments)
    table = raw.pop("ensemble", None)
    if table is None:
        return [decode_config(raw, path.name, sources)], False
    file = sections.decode_sections({"ensemble": table}, _File, _check, path.name, sources)
    lists = {n: values for n in FIELDS if (values := getattr(file.ensemble, n)) is not None}
    configs = []
    for values in product(*lists.values()):
        cell, of = raw, dict(sources)
        for name, value in zip(lists, values, strict=True):
            section, field = FIELDS[name]
            cell = sections.put(cell, section, field, value)
            of[f"{section}.{field}"] = f"{path.name}: ensemble.{name}"
        configs.append(decode_config(cell, path.name, of))
    _check_batches(configs, path.name)
    return configs, True


def _check_batches(configs: Sequence[Config], name: str) -> None:
    """Raise InvalidInput where members would need batches of different sizes."""
    if not configs[0].training.batch:
        return
    tasks = {config.task: config for config in configs}  # seeds and rates do not matter
    sizes = {config.batch_size(config.train_pairs) for config in tasks.values()}
    if len(sizes) > 1:
        found = " and ".join(map(str, sorted(sizes)))
        raise InvalidInput(f"{name}: training.batch", f"would be {found} pairs in one ensemble")


def _check(file: _File) -> None:
    lists = [values for name in FIELDS if (values := getattr(file.ensemble, name)) is not None]
    count = prod(map(len, lists)) if lists else 0
    if not lists or count > MOST_MEMBERS:
        raise InvalidInput("ensemble", f"has {count} members; 1 to {MOST_MEMBERS} can be trained")
    for name in FIELDS:
        values = getattr(file.ensemble, name) or []
        if twice := [value for value in values if values.count(value) > 1]:
            raise InvalidInput(f"ensemble.{name}", f"has {twice[0]!r} twice")


def names(stem: str, run: str | None, configs: Sequence[Config]) -> tuple[str, list[str]]:
    """The group's name and the runs' names; `run` is what the command line calls them.

    The group is `STEM-CONFIGS8`, eight digits of the digest of all configurations; the runs are
    `STEM-sSEED-CONFIG8`.
    """
    digest = hashlib.sha256("".join(config.sha256 for config in configs).encode()).hexdigest()
    group = run or f"{name_of(stem)[:54]}-{digest[:8]}"
    return check_run_name(group), [default_run_name(run or stem, config) for config in configs]
