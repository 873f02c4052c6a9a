"""A run as one xarray.Dataset: its series over steps, with units and meanings."""

from typing import Any

from grokprobe.analysis.measures_table import MEASURES
from grokprobe.client.answers import library
from grokprobe.client.records import (
    CoordinatesAnswer,
    RunAnswer,
    SpectraAnswer,
    TrajectoryAnswer,
)

LOSS_UNIT, SHARE_UNIT = "nat", "1"


def dataset(
    about: RunAnswer,
    trajectory: TrajectoryAnswer,
    spectra: SpectraAnswer | None,
    coordinates: CoordinatesAnswer | None,
    pairs: Any,
) -> Any:
    """Dimensions step, frequency, residue, axis (x, y) and pair, whose coordinates are a and b.

    Of S_5, which has no circle, irrep stands in the place of frequency. The answers' own numbers;
    what is null there is NaN. What a run does not have is left out. `pairs` is its answer's array.
    """
    np, xr = library("numpy"), library("xarray")
    modulus = about.task.modulus
    steps = [int(_number(row["step"])) for row in trajectory.trajectory]
    first, second = np.divmod(np.arange(modulus**2), modulus)
    places = {
        "step": ("step", steps, _STEP),
        "a": ("pair", first, {"long_name": "first residue"}),
        "b": ("pair", second, {"long_name": "second residue"}),
    }
    found = xr.Dataset(_measures(trajectory), coords=places)
    if spectra is not None:
        part = part_of(spectra)
        axis = (part, np.array(spectra.frequencies), _PARTS[part])
        found = found.assign_coords({part: axis})
        shares = np.array([row.values for row in spectra.spectra], float)
        found["share"] = (("step", part), shares, _SHARE)
    if coordinates is not None:
        residues = ("residue", np.array(coordinates.residues), {"long_name": "residue"})
        found = found.assign_coords(residue=residues, axis=("axis", ["x", "y"]))
        plane = {"long_name": f"residues in the plane of frequency {coordinates.frequency}"}
        found["coordinates"] = (("step", "residue", "axis"), _points(coordinates), plane)
    if pairs is not None:
        for place, name in enumerate(("learnt_step", "previous_step", "lost", "margin")):
            found[name] = ("pair", pairs[:, place], _PAIRS[name])
    found.attrs = {
        "run": about.run,
        "created_at": about.created_at.isoformat(),
        "status": about.status,
        "operation": about.task.operation,
        "modulus": modulus,
    }
    return found


def is_cyclic(spectra: SpectraAnswer) -> bool:
    """Whether the group's parts are frequencies; else irreducible representations, by name."""
    return not any(isinstance(part, str) for part in spectra.frequencies)


def part_of(spectra: SpectraAnswer) -> str:
    """The dimension of what a spectrum has an entry for."""
    return "frequency" if is_cyclic(spectra) else "irrep"


def _points(coordinates: CoordinatesAnswer) -> Any:
    """The array of the answer: in float32, (steps, residues, 2)."""
    np = library("numpy")
    rows = [(row.x, row.y) for row in coordinates.coordinates]
    shape = (len(rows), 2, len(coordinates.residues))
    return np.array(rows, np.float32).reshape(shape).transpose(0, 2, 1)


def _measures(trajectory: TrajectoryAnswer) -> dict[str, Any]:
    """Each measure over the steps; one with a value for each key frequency, over these too."""
    np, rows = library("numpy"), trajectory.trajectory
    found: dict[str, Any] = {}
    for name in [name for name in (rows[0] if rows else {}) if name != "step"]:
        column = [row[name] for row in rows]
        by_key = [value if isinstance(value, dict) else {} for value in column]
        if keys := sorted({int(key) for value in by_key for key in value}):
            values = [[value.get(str(key), np.nan) for key in keys] for value in by_key]
            found[name] = (("step", "key"), np.array(values, float), _meaning(name))
            found["key"] = ("key", keys, {"long_name": "key frequency"})
        else:
            numbers = [np.nan if value is None else value for value in column]
            found[name] = ("step", np.array(numbers, float), _meaning(name))
    return found


_STEP = {"long_name": "optimiser steps before the checkpoint", "units": "1"}
_PARTS = {
    "frequency": {"long_name": "frequency k of the operation's group", "units": "1"},
    "irrep": {"long_name": "irreducible representation of the operation's group"},
}
_SHARE = {"long_name": "share of the embedding's power without the constant", "units": SHARE_UNIT}
_PAIRS = {
    "learnt_step": {"long_name": "step from which the pair is right up to the end", "units": "1"},
    "previous_step": {"long_name": "last step before it at which it was not", "units": "1"},
    "lost": {"long_name": "how often it was lost between two checkpoints", "units": "1"},
    "margin": {"long_name": "logit of the answer less the largest other, at the end", "units": "1"},
}


def _number(value: Any) -> float:
    return float(value)


def _meaning(name: str) -> dict[str, str]:
    meaning = {measure.name: measure.meaning for measure in MEASURES}.get(name, name)
    return {"long_name": meaning, "units": LOSS_UNIT if name.endswith("loss") else SHARE_UNIT}
