"""Every series of a run as one xarray.Dataset, and as the tables of the service."""

from collections.abc import Callable, Mapping
from typing import Any

from grokprobe.analysis.series.neurons import COLUMNS
from grokprobe.client.answers import Table, library
from grokprobe.client.datasets import dataset
from grokprobe.client.errors import InvalidRequest, NotFound
from grokprobe.client.synchronous.run import Run

Asks = Mapping[str, Callable[[], Any]]


def asks_of(run: Run) -> Asks:
    """What is asked for each series."""
    measures = list(run.at("latest").about().measures)
    return {
        "trajectory": lambda: run.trajectory(measures),
        "spectra": run.spectra,
        "coordinates": run.coordinates,
        "pairs": run.pairs,
        "neurons": run.neurons,
        "grids": run.grids,
        "split": run.split,
        "drift": run.drift,
        "updates": run.updates,
        "path": run.path,
    }


def answers_of(run: Run) -> tuple[dict[str, Any], dict[str, str]]:
    """Every series by its name, and why those that the run does not have are absent."""
    found: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for name, ask in asks_of(run).items():
        try:
            found[name] = ask()
        except (InvalidRequest, NotFound) as error:  # as circles of s5, or a split nobody knows
            absent[name] = error.detail
    return found, absent


def dataset_of(run: Run) -> Any:
    """The xarray.Dataset of `Run.to_xarray` with every stored measure and series."""
    answers, absent = answers_of(run)
    others = (answers.get(name) for name in ("spectra", "coordinates", "pairs"))
    data = dataset(run.about, answers["trajectory"], *others)
    for name, (dims, values) in _more(run, answers).items():
        data[name] = (dims, values)
    data.attrs |= {"absent": "; ".join(f"{name}: {why}" for name, why in absent.items())}
    return data


def _more(run: Run, answers: Mapping[str, Table]) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Arrays beside those of `Run.to_xarray`."""
    np = library("numpy")
    found: dict[str, tuple[tuple[str, ...], Any]] = {}
    pairs = run.about.task.modulus**2
    if "grids" in answers:
        found["predicted"] = (("step", "pair"), answers["grids"].to_numpy())
    if "split" in answers:
        bits = np.unpackbits(answers["split"].to_numpy())[:pairs]
        found["train"] = (("pair",), bits.astype(bool))
    if "neurons" in answers:
        values = answers["neurons"].to_numpy()
        for place, column in enumerate(COLUMNS):
            found[f"neuron_{column}"] = (("step", "neuron"), values[:, :, place])
    if "path" in answers:
        found["path"] = (("step", "component"), answers["path"].to_numpy())
    if "updates" in answers:
        found["update_power"] = (("update", "frequency"), answers["updates"].to_numpy())
    if "drift" in answers:
        found |= _drift(answers["drift"])
    return found


def _drift(answer: Table) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Each column of numbers of the drift from the first checkpoint."""
    table = answer.to_arrow()
    types = library("pyarrow.types")
    return {
        f"drift_{name}": (("step",), table[name].to_numpy())
        for name in table.column_names
        if name != "step" and types.is_floating(table.schema.field(name).type)
    }
