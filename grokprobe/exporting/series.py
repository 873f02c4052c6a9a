"""Every series of a run as one xarray.Dataset, and as the tables of the service.

Each is asked for in the one format that is kept of it.
"""

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from grokprobe.analysis.series.neurons import COLUMNS
from grokprobe.client.answers import library
from grokprobe.client.datasets import dataset, part_of
from grokprobe.client.errors import InvalidRequest, NotFound
from grokprobe.client.synchronous.run import Run

T = TypeVar("T")
Until = Mapping[str, Any]  # the query of a last step
Variable = tuple[tuple[str, ...], Any]
ARRAYS = ("pairs", "neurons", "grids", "split", "updates", "path")
SERIES = ("trajectory", "spectra", "coordinates", "drift", *ARRAYS)


def tables_of(run: Run, until: Until) -> dict[str, bytes]:
    """Every series of the run as Parquet, by its name; `until` is a last step, or nothing."""
    query = {"trajectory": {"measures": _measures(run)}}
    asks = {
        name: partial(_body, run, name, "parquet", {**until, **query.get(name, {})})
        for name in SERIES
    }
    return _answers(asks)[0]


def dataset_of(run: Run, until: Until) -> Any:
    """The xarray.Dataset of `Run.to_xarray` with every stored measure and series."""
    asks: dict[str, Callable[[], Any]] = {
        "trajectory": partial(run.trajectory, _measures(run), **until),
        "spectra": partial(run.spectra, **until),
        "coordinates": partial(run.coordinates, **until),
        "drift": partial(_body, run, "drift", "arrow", until),
    }
    found, absent = _answers(asks | {name: partial(_array, run, name, until) for name in ARRAYS})
    others = (found.get(name) for name in ("spectra", "coordinates", "pairs"))
    data = dataset(run.about, found["trajectory"], *others)
    part = part_of(found["spectra"]) if "spectra" in found else "frequency"
    for name, (dims, values) in _more(run, found, part).items():
        data[name] = (dims, values)
    data.attrs |= {"absent": "; ".join(f"{name}: {why}" for name, why in absent.items())}
    return data


def _measures(run: Run) -> list[str]:
    """Those that its checkpoints store."""
    return list(run.at("latest").about().measures)


def _answers(asks: Mapping[str, Callable[[], T]]) -> tuple[dict[str, T], dict[str, str]]:
    """What is answered by name, and why those that the run does not have are absent."""
    found: dict[str, T] = {}
    absent: dict[str, str] = {}
    for name, ask in asks.items():
        try:
            found[name] = ask()
        except (InvalidRequest, NotFound) as error:  # as circles of s5, or a split nobody knows
            absent[name] = error.detail
    return found, absent


def _body(run: Run, name: str, form: str, query: Mapping[str, Any]) -> bytes:
    """A series in one of its formats; the split, which has no steps, by no query."""
    asked = run._ask(
        f"GET /v1/runs/{{run}}/{name}", format=form, **({} if name == "split" else query)
    )
    return run._connection.answer(asked).body


def _array(run: Run, name: str, until: Until) -> Any:
    return library("numpy").load(io.BytesIO(_body(run, name, "npy", until)), allow_pickle=False)


def _more(run: Run, found: Mapping[str, Any], part: str) -> dict[str, Variable]:
    """Arrays beside those of `Run.to_xarray`; `part` is what spectra have an entry for."""
    known: dict[str, tuple[str, tuple[str, ...]]] = {
        "grids": ("predicted", ("step", "pair")),
        "path": ("path", ("step", "component")),
        "updates": ("update_power", ("update", part)),
    }
    more: dict[str, Variable] = {
        name: (dims, found[one]) for one, (name, dims) in known.items() if one in found
    }
    if "split" in found:
        bits = library("numpy").unpackbits(found["split"])[: run.about.task.modulus**2]
        more["train"] = (("pair",), bits.astype(bool))
    if "neurons" in found:
        for place, column in enumerate(COLUMNS):
            more[f"neuron_{column}"] = (("step", "neuron"), found["neurons"][:, :, place])
    return more | (_drift(found["drift"]) if "drift" in found else {})


def _drift(body: bytes) -> dict[str, Variable]:
    """Each column of numbers of the drift from the first checkpoint."""
    table = library("pyarrow.ipc").open_stream(body).read_all()
    types = library("pyarrow.types")
    return {
        f"drift_{name}": (("step",), table[name].to_numpy())
        for name in table.column_names
        if name != "step" and types.is_floating(table.schema.field(name).type)
    }
