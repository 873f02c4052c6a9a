"""A tiny published run, valid in every part, made in milliseconds and without torch."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from grokprobe.analysis.fourier import spectrum
from grokprobe.analysis.measures import accuracy, cross_entropy
from grokprobe.errors import IndexDoubted
from grokprobe.store.archive.contents import Contents, manifests_sha256
from grokprobe.store.archive.predictions import describe_predictions, encode_predictions
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader, Stored
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.records import (
    FORMAT_VERSION,
    CheckpointManifest,
    Completion,
    ModelRecord,
    Record,
    RunManifest,
    SpectrumRow,
    TaskRecord,
    encode_record,
    now,
    sha256,
)
from grokprobe.task import Mask, Task, answers, pairs, split, split_sha256

R = TypeVar("R", bound=Record)

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
WIDTH = 8
OPSET = 18


@dataclass(frozen=True)
class TinyRun:
    """Everything that a run publishes, made from its name and steps alone: equal every time."""

    manifest: RunManifest
    train_mask: Mask
    checkpoints: list[tuple[CheckpointManifest, bytes]]
    completion: Completion
    predictions: Mapping[int, bytes] = field(default_factory=dict)  # by step; none if older

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.manifest.run

    async def publish(self, to: ArchiveReader | Backends) -> None:
        """Publish all of it; where there is a catalogue, index it too."""
        publisher = ArchivePublisher(to) if isinstance(to, ArchiveReader) else to.publisher
        await publisher.publish_run(self.manifest, self.train_mask)
        for manifest, model in self.checkpoints:
            predictions = self.predictions.get(manifest.step)
            await publisher.publish_checkpoint(manifest, model, predictions)
        await publisher.publish_completion(self.completion)
        if isinstance(to, Backends):
            await self.index(to)

    async def index(self, backends: Backends) -> None:
        """Index all of it, as a trainer does."""
        with suppress(IndexDoubted):  # a service beside it may put the run there first
            await index_run(backends.catalogue, self.manifest)
            for manifest, _ in self.checkpoints:
                await backends.catalogue.add_checkpoint(manifest)
        await backends.catalogue.reconcile(backends.archive, self.name)


async def index_run(catalogue: Catalogue, manifest: RunManifest) -> None:
    """Index a run that has just begun."""
    bare = Contents(run=stored(manifest), completion=None, checkpoints={}, problems=[])
    if await catalogue.seal(manifest.run) is None:
        await catalogue.put_run(bare)


def stored(record: R) -> Stored[R]:
    """A record as it would be read from the bytes that are written of it."""
    data = encode_record(record)
    return Stored(record, sha256(data), data)


def digest_of(manifests: Iterable[CheckpointManifest]) -> str:
    """The digest over all manifests of a run."""
    return manifests_sha256({manifest.step: stored(manifest) for manifest in manifests})


def tiny_run(
    run: str = "tiny",
    modulus: int = 7,
    steps: Sequence[int] = (0, 10, 200),
    seed: int = 0,
    group: str | None = None,
    config: Mapping[str, Any] = MappingProxyType({}),
) -> TinyRun:
    """A small valid run whose models turn from noise into circles; nothing was trained."""
    task = Task(operation="add", modulus=modulus)
    train_mask = split(task, 0.5, seed)
    train_pairs = int(train_mask.sum())
    record = TaskRecord(
        operation=task.operation,
        modulus=modulus,
        operation_seed=0,
        train_fraction=0.5,
        split_seed=seed,
        split_sha256=split_sha256(train_mask),
        train_pairs=train_pairs,
        test_pairs=modulus**2 - train_pairs,
    )
    manifest = RunManifest(
        run=run,
        created_at=CREATED_AT,
        task=record,
        architecture={"family": "tiny", "d_model": WIDTH},
        optimiser={"name": "none"},
        seed=seed,
        config=dict(config),
        config_sha256=sha256(b"{}"),
        group=group,
    )
    checkpoints = [_checkpoint(manifest, task, train_mask, step, max(steps)) for step in steps]
    completion = Completion(
        run=run,
        created_at=CREATED_AT,
        status="complete",
        step=max(steps),
        manifests_sha256=digest_of(manifest for manifest, _ in checkpoints),
    )
    return TinyRun(manifest, train_mask, checkpoints, completion)


def answering(run: TinyRun) -> TinyRun:
    """The same run with the predictions of each checkpoint, as trainers publish it now."""
    modulus, checkpoints, predictions = run.manifest.task.modulus, [], {}
    for manifest, model in run.checkpoints:
        logits = ort.InferenceSession(model).run(["logits"], {"pairs": pairs(modulus)})[0]
        data = encode_predictions(logits.argmax(axis=1), modulus)
        recorded = msgspec.structs.replace(manifest, predictions=describe_predictions(data))
        checkpoints.append((recorded, model))
        predictions[manifest.step] = data
    digest = digest_of(manifest for manifest, _ in checkpoints)
    completion = msgspec.structs.replace(run.completion, manifests_sha256=digest)
    return TinyRun(run.manifest, run.train_mask, checkpoints, completion, predictions)


def young(run: TinyRun) -> TinyRun:
    """The same run, created just now."""
    return _created(run, now())


def again(run: TinyRun) -> TinyRun:
    """The same run as another process would publish it later: `created_at` alone differs."""
    return _created(run, datetime(2026, 2, 2, tzinfo=UTC))


def _created(run: TinyRun, moment: datetime) -> TinyRun:
    replace = msgspec.structs.replace
    checkpoints = [(replace(m, created_at=moment), model) for m, model in run.checkpoints]
    digest = digest_of(manifest for manifest, _ in checkpoints)
    return TinyRun(
        replace(run.manifest, created_at=moment),
        run.train_mask,
        checkpoints,
        replace(run.completion, created_at=moment, manifests_sha256=digest),
        run.predictions,
    )


def _checkpoint(
    manifest: RunManifest, task: Task, train_mask: Mask, step: int, last: int
) -> tuple[CheckpointManifest, bytes]:
    embedding, unembedding = _weights(task.modulus, manifest.seed or 0, step / max(last, 1))
    model = _model(manifest, step, embedding, unembedding)
    row = spectrum(embedding)
    checkpoint = CheckpointManifest(
        run=manifest.run,
        step=step,
        created_at=CREATED_AT,
        split_sha256=manifest.task.split_sha256,
        model=ModelRecord(
            sha256=sha256(model), bytes=len(model), opset=OPSET, outputs=["logits", "embedding"]
        ),
        measures=_measures(task, train_mask, embedding, unembedding),
        spectrum=SpectrumRow(constant_power=row.constant_power, power=row.power.tolist()),
    )
    return checkpoint, model


def _weights(
    modulus: int, seed: int, progress: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """W_E (p, WIDTH), noise at progress 0 and circles at 1; W_U (WIDTH, p)."""
    noise = np.random.default_rng(seed).normal(size=(modulus, WIDTH))
    angles = 2 * np.pi * np.outer(np.arange(modulus), np.arange(WIDTH) // 2 + 1) / modulus
    circles = np.where(np.arange(WIDTH) % 2, np.sin(angles), np.cos(angles))
    embedding = (1 - progress) * noise + progress * circles
    return embedding.astype(np.float32), circles.T.astype(np.float32)


def _measures(
    task: Task, train_mask: Mask, embedding: NDArray[np.float32], unembedding: NDArray[np.float32]
) -> dict[str, float | None]:
    a, b = pairs(task.modulus).T
    logits, truth = (embedding[a] + embedding[b]) @ unembedding, answers(task)
    row = spectrum(embedding)
    measures: dict[str, float | None] = {}
    for part, mask in (("train", train_mask), ("test", ~train_mask)):
        measures[f"{part}_loss"] = float(cross_entropy(logits[mask], truth[mask]).mean())
        measures[f"{part}_accuracy"] = accuracy(logits[mask], truth[mask])
    return measures | {
        "weight_norm": float((embedding**2).sum() + (unembedding**2).sum()),
        "gini_embedding": row.gini,
        "gini_frequencies_embedding": row.gini_frequencies,
        "ipr_embedding": row.ipr,
    }


def _model(
    manifest: RunManifest,
    step: int,
    embedding: NDArray[np.float32],
    unembedding: NDArray[np.float32],
) -> bytes:
    """logits = (W_E[a] + W_E[b]) @ W_U, by the ONNX contract of DESIGN."""
    p = manifest.task.modulus
    nodes = [
        helper.make_node("Gather", ["W_E", "pairs"], ["residues"]),  # (batch, 2, WIDTH)
        helper.make_node("ReduceSum", ["residues", "axes"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["sum", "W_U"], ["logits"]),
        helper.make_node("Identity", ["W_E"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pairs", TensorProto.INT64, ["batch", 2])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", p]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [p, WIDTH]),
        ],
        [
            numpy_helper.from_array(embedding, "W_E"),
            numpy_helper.from_array(unembedding, "W_U"),
            numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10, producer_name="tests"
    )
    facts = {
        "format_version": FORMAT_VERSION,
        "run": manifest.run,
        "step": step,
        "operation": manifest.task.operation,
        "modulus": p,
    }
    helper.set_model_props(model, {name: str(value) for name, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
