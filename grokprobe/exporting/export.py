"""A run into a folder, in one of four formats: the whole of it or nothing."""

import os
import shutil
from pathlib import Path

from grokprobe.client.synchronous.run import Run
from grokprobe.errors import InvalidInput
from grokprobe.exporting.alone import alone
from grokprobe.exporting.staging import Stage
from grokprobe.exporting.writers import (
    write_npz,
    write_parquet,
    write_safetensors,
    write_zarr,
)

WRITERS = {
    "zarr": write_zarr,
    "parquet": write_parquet,
    "safetensors": write_safetensors,
    "npz": write_npz,
}
ENDINGS = {"zarr": ".zarr", "npz": ".npz"}


def export(run: Run, form: str, folder: Path) -> Path:
    """Write a run; where it is now. Fetched weights of a cut export are gone on with.

    Raises InvalidInput where the run's place is taken, or another exports it there; ClientError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Stage(run, folder)
        target = folder / f"{run.name}{ENDINGS.get(form, '')}"
        _check_free(form, target)
        with alone(stage.folder):
            _check_free(form, target)  # also by one that ended meanwhile
            stage.fetch()
            target = _write(stage, form, folder, target)
            stage.remove()
    except OSError as error:
        raise InvalidInput(str(folder), f"cannot be written: {error.strerror or error}") from None
    return target


def _check_free(form: str, target: Path) -> None:
    if form != "parquet" and target.exists():
        raise InvalidInput(str(target), "is there already; remove it, or name another folder")


def _write(stage: Stage, form: str, folder: Path, target: Path) -> Path:
    """What is fetched, in a format, in its place at once."""
    part = stage.folder / f"part-{os.getpid()}"
    try:
        WRITERS[form](stage, part)
        return _move_tables(part, folder) if form == "parquet" else part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if part.is_file():
            part.unlink()


def _move_tables(part: Path, folder: Path) -> Path:
    """Each table into its place; one of that run that was there is replaced."""
    for path in sorted(part.glob("*/*/*.parquet")):
        to = folder / path.relative_to(part)
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)
    return folder
