"""`python -m benchmarks.probing`: what the service does with a mainline-sized checkpoint (p 113).

In process, on local files: cold checkpoint to first prediction, and each analysis of a hot one.
Everything but the HTTP layer; medians of interleaved rounds.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.fourier import spectrum
from grokprobe.analysis.nulls import circle_null, spectrum_null
from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from service.inference.checkpoints import Checkpoint, Checkpoints
from service.inference.runtime import Runtime, start_runtime
from service.runs.view import RunView, read_view
from service.telemetry.metrics import Metrics
from service.v1.checkpoint.predict import describe_predictions

CHECKPOINTS = 40
ROUNDS = 40
PAIR = np.array([[3, 5]])


def publish(home: Path, checkpoints: int = CHECKPOINTS) -> Settings:
    """A run of mainline-sized checkpoints under a folder, by a trainer of its own process."""
    changes = [
        f"training.steps={checkpoints - 1}",
        "checkpoints.every=1",
        "checkpoints.log_spaced=0",
    ]
    command = [
        sys.executable,
        "-m",
        "trainer",
        "train",
        "--preset",
        "mainline",
        "--run",
        "mainline",
    ]
    environment = {**os.environ, "GROKPROBE_HOME": str(home)}
    assignments = [word for change in changes for word in ("--set", change)]
    subprocess.run([*command, *assignments], env=environment, check=True, capture_output=True)
    return Settings(home=str(home))


def new_cache(backends: Backends, runtime: Runtime) -> Checkpoints:
    """An empty session cache."""
    return Checkpoints(backends.archive, runtime, Metrics(), 2**30, 2**28)


def predict(checkpoint: Checkpoint) -> None:
    """One pair, answered in full."""
    (logits,) = checkpoint.outputs(["logits"], PAIR)
    describe_predictions(checkpoint.table, PAIR, logits)


def analyse(checkpoint: Checkpoint) -> None:
    """The spectrum of a hot checkpoint's embedding."""
    spectrum(basis_of(checkpoint.table.task).rows(checkpoint.matrix("embedding")))


async def time_async(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1e3


async def cold(cache: Checkpoints, view: RunView, step: int) -> float:
    """Milliseconds from a request for a checkpoint that nobody has asked for to its prediction."""

    async def work() -> None:
        predict(await cache.get(view, step))

    return await time_async(work)


def in_process(work: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


async def measure(settings: Settings) -> dict[str, list[float]]:
    """Milliseconds by name, one value a round."""
    times: dict[str, list[float]] = {}
    runtime = start_runtime()
    async with open_backends(settings) as backends:
        view = await read_view(backends.archive, "mainline", None)
        hot = await new_cache(backends, runtime).get(view, 0)
        matrix = hot.matrix("embedding").astype(np.float64)
        works: dict[str, Callable[[], object]] = {
            "one pair, ONNX Runtime alone": lambda: hot.outputs(["logits"], PAIR),
            "one pair, with its description": lambda: predict(hot),
            "spectrum of the embedding": lambda: analyse(hot),
            "spectrum's null, 200 permutations": lambda: spectrum_null(matrix),
            "circle's null, 200 permutations": lambda: circle_null(matrix, 5),
        }
        for step in range(ROUNDS):
            name = "cold checkpoint to first prediction"
            times.setdefault(name, []).append(await cold(new_cache(backends, runtime), view, step))
            for name, work in works.items():
                times.setdefault(name, []).append(in_process(work))
    return times


def main() -> None:
    """Print medians and the slowest round."""
    with tempfile.TemporaryDirectory() as home:
        times = asyncio.run(measure(publish(Path(home))))
    print(f"mainline, p 113, {ROUNDS} rounds, ONNX Runtime {ort.__version__}")
    for name, values in times.items():
        print(f"{name:40} median {statistics.median(values):8.3f} ms   max {max(values):8.3f} ms")


if __name__ == "__main__":
    main()
