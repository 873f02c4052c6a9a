"""A run as one xarray.Dataset: its series over steps, with units and meanings."""

from typing import Any

from grokprobe.analysis.measures_table import MEASURES
from grokprobe.client.answers import library
from grokprobe.client.records import (
    CoordinatesAnswer,
    PairsAnswer,
    RunAnswer,
    SpectraAnswer,
    TrajectoryAnswer,
)

LOSS_UNIT, SHARE_UNIT = "nat", "1"


def dataset(
    about: RunAnswer,
    trajectory: TrajectoryAnswer,
    spectra: SpectraAnswer,
    coordinates: CoordinatesAnswer,
    pairs: PairsAnswer,
) -> Any:
    """Dimensions step, frequency, residue, axis (x, y) and pair, whose coordinates are a and b.

    The answers' own numbers; what is null there is NaN.
    """
    np, xr = library("numpy"), library("xarray")
    rows = trajectory.trajectory
    found = xr.Dataset(coords={"step": ("step", [int(_number(r["step"])) for r in rows], _STEP)})
    for name in [name for name in (rows[0] if rows else {}) if name != "step"]:
        column = [r[name] for r in rows]
        if not any(isinstance(value, dict) for value in column):
            values = np.array([np.nan if v is None else v for v in column], dtype=float)
            found[name] = ("step", values, _meaning(name))
    spectrum = spectra.to_numpy()
    found = found.assign_coords(
        frequency=("frequency", np.arange(1, spectrum.shape[1] + 1), _FREQUENCY),
        residue=("residue", np.array(coordinates.residues), {"long_name": "residue"}),
        axis=("axis", ["x", "y"]),
        a=("pair", np.array([p.a for p in pairs.pairs]), {"long_name": "first residue"}),
        b=("pair", np.array([p.b for p in pairs.pairs]), {"long_name": "second residue"}),
    )
    found["share"] = (("step", "frequency"), spectrum, _SHARE)
    plane = {"long_name": f"residues in the plane of frequency {coordinates.frequency}"}
    found["coordinates"] = (("step", "residue", "axis"), coordinates.to_numpy(), plane)
    learnt = pairs.to_numpy()
    for place, name in enumerate(("learnt_step", "previous_step", "lost", "margin")):
        found[name] = ("pair", learnt[:, place], _PAIRS[name])
    found.attrs = {
        "run": about.run,
        "created_at": about.created_at.isoformat(),
        "status": about.status,
        "operation": about.task.operation,
        "modulus": about.task.modulus,
    }
    return found


_STEP = {"long_name": "optimiser steps before the checkpoint", "units": "1"}
_FREQUENCY = {"long_name": "frequency k of the operation's group", "units": "1"}
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
