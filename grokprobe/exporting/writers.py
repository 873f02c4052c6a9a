"""A staged run as zarr, npz, safetensors and parquet, each into a place of its own."""

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from grokprobe.client.answers import library
from grokprobe.exporting.series import dataset_of, tables_of
from grokprobe.exporting.staging import Stage

WEIGHTS = "weights"
FORMAT, DIMENSIONS = 2, "_ARRAY_DIMENSIONS"  # of zarr, where xarray reads them
BLOCK_BYTES = 2**24  # of a weight that is read, written and chunked together


def plain(name: str) -> str:
    """A weight's name as a name in a folder: others' may hold slashes."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def write_zarr(stage: Stage, part: Path) -> None:
    """A group of all series with consolidated metadata, and the group `weights` below it.

    Of zarr's second format, whose consolidated metadata and texts every reader knows.
    """
    zarr = library("zarr")
    dataset_of(stage.run, stage.until).to_zarr(part, consolidated=False, zarr_format=FORMAT)
    group = zarr.open_group(part, mode="a").create_group(WEIGHTS)
    steps = group.create_array("step", shape=(len(stage.steps),), dtype="int64", fill_value=None)
    steps[:] = stage.steps
    steps.attrs[DIMENSIONS] = ["step"]
    for name, (shape, dtype) in stage.shapes().items():
        block = _block(shape, dtype, len(stage.steps))
        array = group.create_array(
            plain(name),
            shape=(len(stage.steps), *shape),
            chunks=(block, *shape),
            dtype=dtype,
            compressors=None,  # weights are noise to them
            fill_value=None,  # xarray takes it for what is missing
        )
        array.attrs[DIMENSIONS] = ["step", *(f"{name}_{axis}" for axis in range(len(shape)))]
        for begin in range(0, len(stage.steps), block):
            chosen = stage.steps[begin : begin + block]
            array[begin : begin + len(chosen)] = stage.weights(name, chosen)
    zarr.consolidate_metadata(part)


def _block(shape: tuple[int, ...], dtype: Any, most: int) -> int:
    """How many steps of a weight are read, and lie in a chunk, together."""
    size = int(dtype.itemsize) * math.prod(shape)
    return max(1, min(most, BLOCK_BYTES // max(size, 1)))


def write_npz(stage: Stage, part: Path) -> None:
    """An archive of arrays: every series by its name, each weight as `weights/NAME`."""
    np = library("numpy")
    arrays = ((name, values) for name, values in _arrays(stage))
    weights = (
        (f"{WEIGHTS}/{plain(name)}", stage.weights(name, stage.steps)) for name in stage.shapes()
    )
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as file:
        for source in (arrays, weights):
            for name, values in source:
                with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asarray(values), allow_pickle=False)


def _arrays(stage: Stage) -> Iterator[tuple[str, Any]]:
    for name, variable in dataset_of(stage.run, stage.until).variables.items():
        values = variable.to_numpy()
        yield str(name), values.astype(str) if values.dtype.kind in "OT" else values


def write_safetensors(stage: Stage, part: Path) -> None:
    """A folder with a file for each checkpoint, and all that is numbers in series.safetensors."""
    save = library("safetensors.numpy").save_file
    np = library("numpy")
    part.mkdir()
    numbers = {
        name: np.ascontiguousarray(values)
        for name, values in _arrays(stage)
        if values.dtype.kind in "biuf"
    }
    try:
        save(numbers, part / "series.safetensors", {"run": stage.run.about.to_json().decode()})
    except library("safetensors").SafetensorError as error:  # of a full disk too
        raise OSError(str(error)) from None
    for step in stage.steps:
        (part / stage.path(step).name).hardlink_to(stage.path(step))


def write_parquet(stage: Stage, part: Path) -> None:
    """A folder for each table, in it run=NAME: the service's tables, and one of weights."""
    for name, table in tables_of(stage.run, stage.until).items():
        _at(part, name, stage).write_bytes(table)
    pa, parquet = library("pyarrow"), library("pyarrow.parquet")
    schema = pa.schema(
        [
            ("step", pa.int64()),
            ("name", pa.string()),
            ("shape", pa.list_(pa.int64())),
            ("values", pa.list_(pa.float32())),
        ]
    )
    target = _at(part, WEIGHTS, stage)
    with parquet.ParquetWriter(target, schema, use_dictionary=["name"]) as writer:
        for step in stage.steps:
            writer.write_table(_weights_table(stage, step, schema))


def _at(part: Path, table: str, stage: Stage) -> Path:
    path = part / table / f"run={stage.run.name}" / "data.parquet"
    path.parent.mkdir(parents=True)
    return path


def _weights_table(stage: Stage, step: int, schema: Any) -> Any:
    """A row for each weight of a step, its values in C order."""
    np, pa = library("numpy"), library("pyarrow")
    weights = library("safetensors.numpy").load_file(stage.path(step))
    flat = [np.asarray(values, np.float32).ravel() for values in weights.values()]
    offsets = np.cumsum([0, *map(len, flat)], dtype=np.int32)
    values = pa.ListArray.from_arrays(offsets, np.concatenate(flat))
    shapes = [list(w.shape) for w in weights.values()]
    return pa.table([[step] * len(flat), list(weights), shapes, values], schema=schema)
