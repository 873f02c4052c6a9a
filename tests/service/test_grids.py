"""Outputs over all pairs: once for all who ask, and kept within a budget."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from obstore.store import LocalStore

from grokprobe.analysis.outputs import Outputs
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.task import pairs
from service.inference.checkpoints import Checkpoint, Checkpoints
from service.inference.engine import Inference
from service.inference.grids import FEWEST
from service.inference.runtime import Runtime
from service.runs.view import read_view
from service.telemetry.metrics import Metrics
from tests.support.rounding import TINY_ROUNDING, assert_alike
from tests.support.trained import TINY_STEPS, Trained

P = 13
FILE = 128 + 4 * P**3  # bytes of the logits as npy
SMALLEST = FEWEST * 4 * P**3  # budget in which it is kept


async def grid(inference: Inference, checkpoint: Checkpoint, name: str = "logits") -> Outputs:
    """An output over all pairs, which is one part here."""
    sweep = await inference.sweep(checkpoint, [name])
    [[part]] = await inference.analyse(sweep, lambda: list(sweep.blocks([name])))
    return part


def probe(
    trained: Trained, budget: int, ask: Callable[[Inference, list[Checkpoint]], Awaitable[None]]
) -> Metrics:
    """Let `ask` have its way with all checkpoints; the metrics after that."""
    metrics = Metrics()
    archive = ArchiveReader(LocalStore(trained.settings.home_path / "store"))
    cache = Checkpoints(archive, Runtime(), metrics, 10**7, 10**7)

    async def run() -> None:
        view = await read_view(archive, "tiny", None)
        loaded = [await cache.get(view, step) for step in TINY_STEPS]
        await ask(Inference(metrics, 8, budget, 2**28), loaded)

    asyncio.run(run())
    return metrics


def kept(metrics: Metrics) -> float:
    """The bytes that are kept."""
    return metrics.registry.get_sample_value("grokprobe_grid_cache_bytes") or 0


def runs(metrics: Metrics) -> float:
    """How often ONNX Runtime has been asked."""
    return metrics.registry.get_sample_value("grokprobe_inference_seconds_count") or 0


def test_concurrent_askers_share_one_computation(trained: Trained) -> None:
    """Fifty who ask at once, and one who comes later, cost one run; all get the file's logits."""

    async def ask(inference: Inference, loaded: list[Checkpoint]) -> None:
        found = await asyncio.gather(*(grid(inference, loaded[0]) for _ in range(50)))
        found.append(await grid(inference, loaded[0]))
        (expected,) = loaded[0].outputs(["logits"], pairs(P))
        for logits in found:
            assert_alike(logits, expected, TINY_ROUNDING)

    metrics = probe(trained, 10**6, ask)
    assert (runs(metrics), kept(metrics)) == (1, FILE)


def test_the_least_recently_used_goes_first(trained: Trained) -> None:
    """Where one does not fit any more, the one asked for longest ago is computed again."""

    async def ask(inference: Inference, loaded: list[Checkpoint]) -> None:
        room = SMALLEST // FILE
        for checkpoint in loaded[:room]:
            await grid(inference, checkpoint)
        first, second, other = loaded[0], loaded[1], loaded[room]
        for checkpoint in (first, other, first, second):
            await grid(inference, checkpoint)
        assert len(loaded) > room > 2

    metrics = probe(trained, SMALLEST, ask)
    assert (runs(metrics), kept(metrics)) == (SMALLEST // FILE + 2, SMALLEST // FILE * FILE)


def test_what_does_not_fit_is_not_kept(trained: Trained) -> None:
    """A grid above its share of the budget is computed each time, in blocks as they are taken."""

    async def ask(inference: Inference, loaded: list[Checkpoint]) -> None:
        await grid(inference, loaded[0])
        blocks = [block async for block in inference.blocks(loaded[0], "logits", 100)]
        (expected,) = loaded[0].outputs(["logits"], pairs(P))
        assert_alike(np.concatenate(blocks), expected, TINY_ROUNDING)

    metrics = probe(trained, SMALLEST - 1, ask)
    assert (runs(metrics), kept(metrics)) == (2, 0)


def test_a_matrix_comes_once_whatever_the_parts(trained: Trained) -> None:
    """An output that no pair changes has its own shape, beside one with a row a pair."""

    async def ask(inference: Inference, loaded: list[Checkpoint]) -> None:
        many = np.tile(pairs(P), (20, 1))  # several parts
        logits, embedding = await inference.outputs(loaded[0], ["logits", "embedding"], many)
        assert (logits.shape, embedding.shape) == ((20 * P * P, P), (P, 16))

    probe(trained, 10**6, ask)


def test_kept_grids_cannot_be_written_to(trained: Trained) -> None:
    """They are shared: an analysis that would change one fails."""

    async def ask(inference: Inference, loaded: list[Checkpoint]) -> None:
        logits = await grid(inference, loaded[0])
        with pytest.raises(ValueError, match="read-only"):
            logits[0] = 0

    probe(trained, 10**6, ask)
