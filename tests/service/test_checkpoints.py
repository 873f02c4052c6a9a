"""The session cache: one load however many ask, a budget in bytes, and what failed is not kept."""

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore

from grokprobe.errors import CheckpointCorrupt, StepNotFound
from grokprobe.store.archive.reader import ArchiveReader
from service.inference.checkpoints import SESSION_BYTES, SESSION_SIZES, Checkpoints
from service.inference.runtime import Runtime
from service.runs.view import RunView, read_view
from service.telemetry.metrics import Metrics
from tests.support.trained import TINY_STEPS, Trained

LIMIT = 10_000_000


def make(trained: Trained, budget: int = LIMIT) -> tuple[Checkpoints, Metrics]:
    """A cache over the run `tiny`."""
    metrics = Metrics()
    store = LocalStore(trained.settings.home_path / "store")
    return Checkpoints(ArchiveReader(store), Runtime(), metrics, budget, LIMIT), metrics


def view_of(trained: Trained) -> RunView:
    """The run `tiny`, as a service knows it."""
    store = LocalStore(trained.settings.home_path / "store")
    return asyncio.run(read_view(ArchiveReader(store), "tiny", None))


def count(metrics: Metrics, name: str) -> float:
    """A metric's value."""
    value = metrics.registry.get_sample_value(f"grokprobe_session_cache_{name}")
    assert value is not None
    return value


def test_one_load_for_concurrent_askers(trained: Trained) -> None:
    """A hundred first requests for one checkpoint load it once and share it."""
    (cache, metrics), view = make(trained), view_of(trained)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(cache.get(view, 0) for _ in range(100)))

    assert len({id(found) for found in asyncio.run(ask())}) == 1
    assert count(metrics, "loads_total") == 1
    assert count(metrics, "misses_total") == 100


def test_the_budget_evicts_the_least_recently_used(trained: Trained) -> None:
    """With room for two, the third load drops the one used longest ago."""
    size = (trained.folder / "checkpoints" / "0000000000" / "model.onnx").stat().st_size
    budget = int(2.5 * (SESSION_BYTES + SESSION_SIZES * size))
    (cache, metrics), view = make(trained, budget), view_of(trained)

    async def ask() -> None:
        first, second, third = TINY_STEPS[:3]
        for step in (first, second, first, third, first):
            await cache.get(view, step)

    asyncio.run(ask())
    assert (count(metrics, "loads_total"), count(metrics, "evictions_total")) == (3, 1)
    assert 0 < count(metrics, "bytes") <= budget


def test_a_missing_step_names_the_nearest(trained: Trained) -> None:
    """A step that is not published names its neighbours; the failure is not remembered."""
    (cache, metrics), view = make(trained), view_of(trained)
    for _ in range(2):
        with pytest.raises(StepNotFound, match="nearest: 40, 60"):
            asyncio.run(cache.get(view, 41))
    assert count(metrics, "loads_total") == 0


def test_a_flipped_byte_is_never_served(trained: Trained, tmp_path: Path) -> None:
    """A model whose digest is not its manifest's is corrupt, again and again."""
    shutil.copytree(trained.settings.home_path / "store", tmp_path / "store")
    path = tmp_path / "store" / "runs" / "tiny" / "checkpoints" / "0000000000" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    cache = Checkpoints(
        ArchiveReader(LocalStore(tmp_path / "store")), Runtime(), Metrics(), LIMIT, LIMIT
    )
    for _ in range(2):
        with pytest.raises(CheckpointCorrupt, match="not the model that its manifest records"):
            asyncio.run(_get(cache, trained))


def _get(cache: Checkpoints, trained: Trained) -> Coroutine[Any, Any, Any]:
    return cache.get(view_of(trained), 0)


def test_a_model_above_the_limit_is_not_downloaded(trained: Trained) -> None:
    """The recorded size is compared before the download."""
    store = LocalStore(trained.settings.home_path / "store")
    cache = Checkpoints(ArchiveReader(store), Runtime(), Metrics(), LIMIT, max_model_bytes=100)
    with pytest.raises(CheckpointCorrupt, match="limit here is 100"):
        asyncio.run(_get(cache, trained))
