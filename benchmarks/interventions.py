"""`python -m benchmarks.interventions`: parts taken out of a mainline-sized checkpoint (p 113).

Over HTTP, service and client on one core, 100 controls each: through the logits and the neurons,
and by the model, which has to run for every set; that against as many inferences over all pairs.
And an answer that is kept. The processor's seconds stand beside those of the clock: where others
are at work, they are nearer to what an idle core takes.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.probing import new_cache, publish
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from grokprobe.task import pairs
from service.inference.runtime import start_runtime
from service.inference.sweep import part_pairs
from service.runs.view import read_view
from tests.support.served import serving

STEPS = range(3)  # each asked for on checkpoints of its own
CONTROLS = 100
KEYS = [1, 5, 21, 42, 53]  # as many as the mainline ends with
ASKED: dict[str, dict[str, Any]] = {
    "logits, 5 frequencies": {"of": "logits", "remove": KEYS},
    "logits, along the answer": {"of": "logits", "remove": KEYS, "directions": "answer"},
    "logits, 22 frequencies, the most work": {"of": "logits", "remove": list(range(1, 23))},
    "activations, 5 frequencies": {"of": "activations", "remove": KEYS},
    "neurons, 64": {"of": "neurons", "remove": list(range(64)), "by": "mean"},
    "neurons, 256, matched in norm": {"of": "neurons", "remove": list(range(256)), "match": "norm"},
    "embedding, 5 frequencies": {"of": "embedding", "remove": KEYS},
}


async def inference_s(settings: Settings) -> float:
    """Processor seconds of the logits of all pairs, in parts, as the service computes them."""
    async with open_backends(settings) as backends:
        view = await read_view(backends.archive, "mainline", None)
        checkpoint = await new_cache(backends, start_runtime()).get(view, 0)
    asked, size = pairs(checkpoint.table.task.modulus), part_pairs(checkpoint)
    times = []
    for _ in range(5):
        began = time.process_time()
        for start in range(0, len(asked), size):
            checkpoint.outputs(["logits"], asked[start : start + size])
        times.append(time.process_time() - began)
    return statistics.median(times)


def computed_s(client: httpx.Client) -> float:
    """Processor seconds of the service so far."""
    name, metrics = "process_cpu_seconds_total ", client.get("/metrics").text.splitlines()
    return next(float(line.removeprefix(name)) for line in metrics if line.startswith(name))


def ask_s(client: httpx.Client, step: int, body: dict[str, Any]) -> tuple[float, float, Any]:
    """Seconds until an answer, the processor's of them, and the answer."""
    before, began = computed_s(client), time.perf_counter()
    path = f"/v1/runs/mainline/checkpoints/{step}/interventions"
    answer = client.post(path, json=body | {"controls": CONTROLS}).raise_for_status()
    took = time.perf_counter() - began
    return took, computed_s(client) - before, answer.json()


def one_core(home: Path) -> None:
    """Measure on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    settings = Settings(home=str(home))
    alone = asyncio.run(inference_s(settings))
    print(f"{'inference over all pairs':40} {alone:8.3f} s")
    with serving(settings, home) as served:
        for name, body in ASKED.items():
            found = [ask_s(served.client, step, body) for step in STEPS]
            clock, computed = (statistics.median(row[i] for row in found) for i in range(2))
            controls = found[0][2]["controls"]
            sets = f"{1 + controls['sets']} sets and {controls['avoiding']} that avoid it"
            ratio = f", {computed / alone / (1 + CONTROLS):.2f} times 101 inferences"
            by_model = ratio if found[0][2]["method"] == "model" else ""
            print(f"{name:40} {clock:8.2f} s, processor {computed:.2f} s   {sets}{by_model}")
        kept = [ask_s(served.client, 0, ASKED["embedding, 5 frequencies"])[0] for _ in range(50)]
        print(f"{'an answer that is kept':40} {statistics.median(kept) * 1e3:8.1f} ms")


def main() -> None:
    """The measurement runs in a process of its own, on its core."""
    if len(sys.argv) > 1:
        one_core(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as home:
        publish(Path(home))
        subprocess.run([sys.executable, "-m", "benchmarks.interventions", home], check=True)


if __name__ == "__main__":
    main()
