"""`python -m benchmarks.memory`: peak memory and time of the largest analyses (p 509).

Each in a process of its own. Of each family: publishing a checkpoint of untrained weights, and
ending its run; then each route that reads all pairs; then all of them at the same time. The MLP's
weights are Gromov's solution at three frequencies, so that its run has keys.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.servers import Server, how_quiet, service
from grokprobe.settings import Settings
from grokprobe.task import MAX_MODULUS
from trainer.config.schema import load_config, preset
from trainer.jobs.opening import describe_run, opened_backends
from trainer.learning.data import draw
from trainer.measuring.norms import weight_norms
from trainer.models import make_network
from trainer.models.export import Exported, Graph, export_graph, open_session
from trainer.publishing.publication import Publication
from trainer.publishing.worker import Worker
from trainer.reporting.progress import TextReporter

FAMILIES = ("mainline", "gromov", "power")
KEYS = (3, 5, 100)
PARTS = ("measures?keys=3,5", "measures?key_rule=neurons", "neurons", "spectrum?of=logits")
# One client's pairs: 64 MiB of logits in an answer.
PAIRS = 2**24 // MAX_MODULUS


def peak_mib(process: int | str = "self") -> int:
    """The most memory that a process has held."""
    status = Path(f"/proc/{process}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def solved(p: int, width: int) -> dict[str, NDArray[np.float32]]:
    """Gromov 2023, section 4: one frequency a neuron, its phases drawn, a + b the sum of two."""
    rng = np.random.default_rng(0)
    k = np.array(KEYS)[np.arange(width) % len(KEYS)]
    angle = 2 * np.pi * np.outer(np.arange(p), k) / p  # (p, width)
    of_a, of_b = rng.uniform(0, 2 * np.pi, (2, width))
    weights = {
        "W_in": np.cos(angle + of_a),
        "W_in_b": np.cos(angle + of_b),
        "W_out": np.cos(angle + of_a + of_b).T,
    }
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


def publish(home: str, name: str, modulus: int = MAX_MODULUS, steps: Sequence[int] = (0,)) -> None:
    """Checkpoints and the end of a run, and what each took, in this process."""
    config = load_config(preset(name), [f"task.modulus={modulus}"])
    grid, settings = draw(config.task), Settings(home=home)
    networks = [make_network(config.model, modulus, step) for step in steps]
    graph = Graph(export_graph(networks[0], grid.sample()), name, grid.task)
    torch.set_num_threads(1)
    with Worker() as worker, opened_backends(worker, settings) as backends:
        manifest = describe_run(name, config, grid)
        publication = Publication(backends, manifest, grid, TextReporter(Console(quiet=True)))
        worker.call(publication.create)
        worker.call(publication.begin)
        for step, network in zip(steps, networks, strict=True):
            weights = {key: value.detach().numpy() for key, value in network.named_parameters()}
            if name == "gromov":
                weights = solved(modulus, weights["W_in"].shape[1])
            model = graph.fill(weights, step)
            exported = Exported(step, model, graph.opset, weight_norms(weights))
            before, began = peak_mib(), time.perf_counter()
            worker.call(publication.publish_model, exported, open_session(model))
            tell(f"{name}: a checkpoint published (before: {before} MiB)", began, peak_mib())
        began = time.perf_counter()
        worker.call(publication.complete, "complete", steps[-1])
        tell(f"{name}: its run ended", began, peak_mib())


def tell(what: str, began: float, peak: int, rest: str = "") -> None:
    """A line of the report."""
    print(f"{what:<58}{time.perf_counter() - began:8.2f} s{peak:8d} MiB{rest}", flush=True)


def ask(server: Server, path: str) -> int:
    """The status of one request, whose answer is read and dropped."""
    url = f"http://127.0.0.1:{server.port}/v1/runs/{path}"
    with httpx.stream("GET", url, timeout=600) as answer:
        for _ in answer.iter_raw():
            pass
        return answer.status_code


def together(server: Server, paths: Sequence[str]) -> str:
    """Ask for all at the same time; the statuses that came."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda path=path: statuses.append(ask(server, path)))
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"  {', '.join(f'{statuses.count(s)} of {s}' for s in sorted(set(statuses)))}"


def answers(home: Path, name: str, environment: Mapping[str, str]) -> None:
    """Each route in a service of its own, then all at once in one."""
    paths = [f"{name}/checkpoints/0/{part}" for part in PARTS]
    for path in paths:
        with service(home, **environment) as server:
            ask(server, f"{name}/checkpoints/0/predictions?a=1&b=2")
            before, began = peak_mib(server.process.pid), time.perf_counter()
            status = ask(server, path)
            rest = f"  {status}, before: {before} MiB"
            tell(path, began, peak_mib(server.process.pid), rest)


def crowd(home: Path, environment: Mapping[str, str]) -> None:
    """Every route of every family at once, and measures with other keys."""
    own = [f"{name}/checkpoints/0/{part}" for name in FAMILIES for part in PARTS]
    more = [f"{name}/checkpoints/0/measures?keys={k}" for name in FAMILIES for k in range(6, 11)]
    with service(home, **environment) as server:
        began = time.perf_counter()
        rest = together(server, own + more)
        tell(f"{len(own + more)} requests at once", began, peak_mib(server.process.pid), rest)


def main() -> None:
    """Every line; with a family and a HOME its publication alone, in this process."""
    if len(sys.argv) > 1:
        publish(sys.argv[1], sys.argv[2])
        return
    print(how_quiet())
    with tempfile.TemporaryDirectory() as home:
        for name in FAMILIES:
            subprocess.run([sys.executable, "-m", "benchmarks.memory", home, name], check=True)
        quiet = {"GROKPROBE_LOG_FORMAT": "json"}
        for name in FAMILIES:
            answers(Path(home), name, quiet)
        crowd(Path(home), quiet)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
