"""A tiny run, really trained and published: the fixture `trained` (conftest.py)."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obstore.store import LocalStore

from grokprobe.settings import Settings
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import CheckpointManifest
from trainer.config.schema import Config, decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

TINY: dict[str, dict[str, Any]] = {
    "task": {"modulus": 13, "train_fraction": 0.6},
    "model": {"d_model": 16, "heads": 2, "d_head": 8, "d_mlp": 32},
    "optimiser": {"learning_rate": 0.01},
    "training": {"steps": 400, "device": "cpu", "threads": 1},
    "checkpoints": {"every": 20, "log_spaced": 3, "queue": 1},
    "local_learning_coefficient": {"every": 150, "chains": 4, "draws": 100, "learning_rate": 5e-5},
}
TINY_STEPS = sorted({0, 1, 4, *range(20, 401, 20)})


def tiny_config(**changes: dict[str, Any]) -> Config:
    """TINY with some fields changed, by section."""
    sections = TINY.keys() | changes.keys()
    return decode_config(
        {name: TINY.get(name, {}) | changes.get(name, {}) for name in sections}, "tiny"
    )


def settings_at(home: Path) -> Settings:
    """Files and an embedded Redis under a folder."""
    return Settings(home=str(home), log_format="json")


@dataclass(frozen=True)
class Trained:
    """Where a run is published."""

    settings: Settings
    run: str
    config: Config

    @property
    def folder(self) -> Path:
        """The run's objects, as files."""
        return self.settings.home_path / "store" / "runs" / self.run

    def objects(self) -> dict[str, bytes]:
        """Every object, as `timeless` has them."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return timeless({p.relative_to(self.folder).as_posix(): p.read_bytes() for p in files})


def timeless(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """The objects of a run by path, but its attempts, without the moments of their creation."""
    kept = {path: data for path, data in objects.items() if "attempts" not in path}
    return {p: _without_moment(data) if p.endswith(".json") else data for p, data in kept.items()}


def _without_moment(data: bytes) -> bytes:
    record = json.loads(data)
    record.pop("created_at")
    record.pop("manifests_sha256", None)  # digests of bytes in which moments are
    return json.dumps(record).encode()


def train_tiny(base: Path) -> Trained:
    """The run `tiny`, complete, with checkpoints at TINY_STEPS, under `base`."""
    settings, config = settings_at(base / "trained"), tiny_config()
    assert start(settings, config, "tiny", JsonReporter()) == 0
    return Trained(settings, "tiny", config)


def archive(settings: Settings) -> ArchiveReader:
    """What settings_at publishes to, without a Redis beside it."""
    return ArchiveReader(LocalStore(str(settings.home_path / "store")))


def manifests(run: Trained) -> list[CheckpointManifest]:
    """The published checkpoints, by step."""

    async def read() -> list[CheckpointManifest]:
        published = archive(run.settings)
        return await published.checkpoints(run.run, await published.steps(run.run))

    return asyncio.run(read())


def events(output: str) -> list[dict[str, object]]:
    """The JSON lines of a trainer, but for `progress`, which a slow one has among the others."""
    found = map(json.loads, output.splitlines())
    return [event for event in found if event["event"] != "progress"]


class Until(JsonReporter):
    """Asks for an end, as a person does with Ctrl-C, once so many checkpoints are published."""

    def __init__(self, count: int) -> None:
        self.left = count

    def published(self, manifest: Any) -> None:
        """Count."""
        super().published(manifest)
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)
