"""What is published of a checkpoint: its file, its manifest, what it answers to every pair."""

from typing import NamedTuple

import onnxruntime as ort

from grokprobe.store.archive.predictions import describe_predictions, encode_predictions
from grokprobe.store.records import CheckpointManifest, ModelRecord, RunManifest, now, sha256
from trainer.learning.data import Grid
from trainer.measuring.measures import measure, own_keys, read_outputs, spectrum_row
from trainer.models.export import Exported


class Described(NamedTuple):
    """A checkpoint that has been measured, ready to be written."""

    manifest: CheckpointManifest
    model: bytes
    predictions: bytes | None  # of `manifest.predictions`


def describe(
    run: RunManifest, grid: Grid, exported: Exported, session: ort.InferenceSession
) -> Described:
    """A model file, which the session runs, measured. Raises NotFinite."""
    model, step = exported.model, exported.step
    probe = read_outputs(session, grid, rows=exported.rows)
    measures = measure(probe, step) | exported.extra
    predictions = encode_predictions(probe.predicted, grid.task.modulus)
    manifest = CheckpointManifest(
        run=run.run,
        step=step,
        created_at=now(),
        split_sha256=run.task.split_sha256,
        model=ModelRecord(
            sha256=sha256(model),
            bytes=len(model),
            opset=exported.opset,
            outputs=[output.name for output in session.get_outputs()],
        ),
        measures=measures,
        spectrum=spectrum_row(probe),
        own_keys=own_keys(probe, step),
        local_learning_coefficient=exported.learning_coefficient,
        predictions=describe_predictions(predictions),
    )
    return Described(manifest, model, predictions)
