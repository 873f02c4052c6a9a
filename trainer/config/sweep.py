"""A sweep: a TOML file whose `[grid]` is expanded into runs, always the same in the same order.

    preset = "mainline"                        optional: what the sections below change
    [training]                                 the usual sections, the same for every run
    steps = 20000
    [grid]                                     the product of these lists, the last one fastest
    "optimiser.weight_decay" = [0.3, 1.0]
    "training.seed" = [0, 1, 2]

A cell is one run of it: cell 4 above is weight decay 1.0, seed 1.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grokprobe.errors import InvalidInput
from grokprobe.store.records import check_run_name
from trainer.config import toml as sections
from trainer.config.schema import Config, decode_config, default_run_name, name_of, preset

MOST_CELLS = 10_000
MOST_DIGITS = 9  # of an index; far more would be no number to Python
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"  # what Kubernetes tells a pod of an Indexed Job

Tables = dict[str, Any]
Axes = dict[str, list[Any]]  # by dotted field, in the order written


@dataclass(frozen=True)
class Cell:
    """One run of a sweep."""

    index: int
    run: str
    config: Config
    varying: Mapping[str, Any]  # the grid's fields, dotted, with this cell's values

    @property
    def words(self) -> str:
        """The varying fields in words: `optimiser.weight_decay=0.3 training.seed=1`."""
        return " ".join(f"{field}={value}" for field, value in self.varying.items())


@dataclass(frozen=True)
class Sweep:
    """All cells by index; `group` is what their manifests have in common."""

    path: Path
    group: str
    cells: list[Cell]

    def cell(self, index: int, source: str) -> Cell:
        """One cell. Raises InvalidInput, with the range, for an index that `source` got wrong."""
        if not 0 <= index < len(self.cells):
            message = f"{self.path.name} has the cells 0 to {len(self.cells) - 1}, got {index}"
            raise InvalidInput(source, message)
        return self.cells[index]


def load_sweep(path: Path, group: str | None = None) -> Sweep:
    """Read and expand a sweep; `group`, the file's stem if left out, also begins its runs' names.

    Raises InvalidInput that names the file, the cell and the dotted field.
    """
    raw, _ = sections.read_toml(path)
    group = check_run_name(group) if group else name_of(path.stem)
    grid = _grid(raw.pop("grid", None), path.name)
    base = _base(raw, path.name)
    cells = [
        _cell(index, base, dict(zip(grid, values, strict=True)), group, path.name)
        for index, values in enumerate(itertools.product(*grid.values()))
    ]
    _check_distinct(cells, path.name)
    return Sweep(path, group, cells)


def _grid(raw: object, name: str) -> Axes:
    """The lists of `[grid]`, of a product that is not too large."""
    where = f"{name}: grid"
    if not isinstance(raw, dict) or not raw:
        raise InvalidInput(
            where, 'is missing: write [grid] and "section.field" = [values] under it'
        )
    for field, values in raw.items():
        if isinstance(values, dict):  # TOML would have forgotten in which order they were written
            message = f'write whole fields in quotes, such as "{field}.{next(iter(values), "")}"'
            raise InvalidInput(f"{where}.{field}", message)
        if field.count(".") != 1:
            raise InvalidInput(f"{where}.{field}", "is not a dotted field: section.field")
        if not isinstance(values, list) or not values:
            raise InvalidInput(f"{where}.{field}", f"must be a list of values, got {values!r}")
    count = math.prod(map(len, raw.values()))
    if count > MOST_CELLS:
        raise InvalidInput(where, f"has {count:,} cells, at most {MOST_CELLS:,} are one sweep")
    return raw


def _base(raw: Tables, name: str) -> Tables:
    """The file's sections over those of its preset."""
    chosen = raw.pop("preset", None)
    below: Tables = {}
    try:
        if chosen is not None:
            below, _ = sections.read_toml(preset(str(chosen)))
    except InvalidInput as error:
        raise InvalidInput(f"{name}: preset {chosen}", error.message) from None
    merged = below | {key: _over(below.get(key), table) for key, table in raw.items()}
    # Here, where no cell is to blame; what fields must be together can depend on the grid.
    sections.decode_sections(merged, Config, lambda _: None, name)
    return merged


def _over(below: Any, table: Any) -> Any:
    return below | table if below and isinstance(table, dict) else table


def _cell(index: int, base: Tables, varying: Mapping[str, Any], group: str, name: str) -> Cell:
    for dotted, value in varying.items():
        section, _, field = dotted.partition(".")
        base = sections.put(base, section, field, value)
    config = decode_config(base, f"{name}, cell {index}")
    return Cell(index, default_run_name(group, config), config, varying)


def _check_distinct(cells: list[Cell], name: str) -> None:
    """Raise InvalidInput if two cells are one run, or would have one name."""
    first: dict[str, Cell] = {}
    for cell in cells:
        other = first.setdefault(cell.run, cell)
        if other.config != cell.config:  # eight digits of a digest are not always enough
            message = f"differ, but both would be called {cell.run}; make two sweeps of them"
        elif other is not cell:
            message = f"are the same run: {other.words} and {cell.words}"
        else:
            continue
        raise InvalidInput(f"{name}: grid", f"cells {other.index} and {cell.index} {message}")


def listing(sweep: Sweep) -> Iterator[str]:
    """A line for each cell: index, run, varying fields."""
    for cell in sweep.cells:
        yield f"{cell.index:>5}  {cell.run}  {cell.words}"


def index_from(environ: Mapping[str, str]) -> int | None:
    """The index that Kubernetes gave this pod; None elsewhere. Raises InvalidInput."""
    text = environ.get(INDEX_VARIABLE)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InvalidInput(INDEX_VARIABLE, f"is not the index of a cell: {text!r:.60}")
    return int(text)
