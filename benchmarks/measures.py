"""`python -m benchmarks.measures`: every measure of a mainline-sized checkpoint (p 113), one core.

Logits and neurons of all pairs, spectra, key frequencies by three rules, restricted and excluded
loss with five keys; and the peak memory of the process that does it. Then a trajectory of 400
checkpoints from the stored measures, over HTTP.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.probing import new_cache, publish
from grokprobe.analysis.key_choice import choose_keys
from grokprobe.analysis.measures_table import key_measures, measures
from grokprobe.analysis.outputs import WholeOutputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.spectra import spectrum_of
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from grokprobe.task import pairs
from service.inference.checkpoints import Checkpoint
from service.inference.runtime import start_runtime
from service.runs.view import read_view

ROUNDS = 12
KEYS = [1, 5, 21, 42, 53]  # as many as the mainline ends with
MATRICES = ("embedding", "unembedding", "neuron_logit_map")
CHECKPOINTS = 400
TRAJECTORY = "test_accuracy,key_share,restricted_accuracy,excluded_loss,neurons_clustered"


def read(checkpoint: Checkpoint) -> Probe:
    """All outputs over all pairs, by ONNX Runtime."""
    table = checkpoint.table
    logits, neurons = checkpoint.outputs(["logits", "neurons"], pairs(table.task.modulus))
    embedding, out = (checkpoint.matrix(name) for name in ("embedding", "neuron_logit_map"))
    outputs = WholeOutputs({"logits": logits, "neurons": neurons})
    return Probe(table.task, table.train_mask, outputs, embedding, out)


def parts(checkpoint: Checkpoint, probe: Probe) -> dict[str, Callable[[], object]]:
    """What there is to measure, in the order of the sum."""
    return {
        "measures without keys": lambda: measures(probe),
        "keys by logits": lambda: choose_keys(probe),
        "keys by neurons": lambda: choose_keys(probe, "neurons"),
        "keys by embedding, 200 permutations": lambda: choose_keys(probe, "embedding"),
        "restricted, excluded in all and per key": lambda: key_measures(probe, KEYS),
        "spectra of three matrices": lambda: [
            spectrum_of(probe.basis, probe.basis.rows(checkpoint.matrix(name))) for name in MATRICES
        ],
    }


def milliseconds(work: Callable[[], object]) -> float:
    """The duration of one call."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


async def measure(settings: Settings) -> dict[str, list[float]]:
    """Milliseconds of each part, every round on a checkpoint of its own, and of their sum."""
    times: dict[str, list[float]] = {}
    runtime = start_runtime()
    async with open_backends(settings) as backends:
        cache = new_cache(backends, runtime)
        view = await read_view(backends.archive, "mainline", None)
        for step in range(ROUNDS):
            checkpoint = await cache.get(view, step)
            began = time.perf_counter()
            probe = read(checkpoint)
            row = {"inference over all pairs": (time.perf_counter() - began) * 1e3}
            row |= {name: milliseconds(work) for name, work in parts(checkpoint, probe).items()}
            row["all of it"] = sum(row.values())
            for name, value in row.items():
                times.setdefault(name, []).append(value)
    return times


def report(times: dict[str, list[float]]) -> None:
    """Print medians and the slowest round."""
    for name, values in times.items():
        print(f"{name:42} median {statistics.median(values):8.1f} ms   max {max(values):8.1f} ms")


def one_core(home: Path) -> None:
    """Measure on one core, and print the peak memory of this process."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    report(asyncio.run(measure(Settings(home=str(home)))))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory, the program itself included':42} {peak:15.0f} MB")


def trajectory(home: Path) -> None:
    """A trajectory of many checkpoints, measured at the client."""
    from tests.support.served import serving

    changes = ["task.modulus=13", "model.d_model=16", "model.d_mlp=32", "training.threads=1"]
    changes += [f"training.steps={CHECKPOINTS - 1}", "checkpoints.every=1"]
    settings = Settings(home=str(home))
    command = [sys.executable, "-m", "trainer", "train", "--preset", "quickstart", "--run", "many"]
    subprocess.run(
        [*command, *(word for change in changes for word in ("--set", change))],
        env={**os.environ, "GROKPROBE_HOME": str(home)},
        check=True,
        capture_output=True,
    )
    with serving(settings, home) as served:
        path = f"/v1/runs/many/trajectory?measures={TRAJECTORY}"
        assert len(ask(served.client, path)) == CHECKPOINTS
        times = [milliseconds(lambda: ask(served.client, path)) for _ in range(50)]
    report({f"trajectory of {CHECKPOINTS} checkpoints, warm": times})


def ask(client: httpx.Client, path: str) -> list[object]:
    """The rows of a trajectory."""
    rows: list[object] = client.get(path).json()["trajectory"]
    return rows


def main() -> None:
    """The first part runs in a process of its own: its memory is measured."""
    if len(sys.argv) > 1:
        return one_core(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as home:
        publish(Path(home))
        command = [sys.executable, "-m", "benchmarks.measures", home]
        subprocess.run(command, check=True)
    with tempfile.TemporaryDirectory() as home:
        trajectory(Path(home))
    return None


if __name__ == "__main__":
    main()
