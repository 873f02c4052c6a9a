"""`python -m benchmarks.comparing`: two mainline-sized checkpoints side by side (p 113), one core.

Through the application, without a socket: a comparison that nobody has asked for, of checkpoints
that are not loaded either, the same again as it is kept, and the drift of a run from its first
checkpoint, cold and kept. Losses and divergences are of float64. The time of the processor is
beside that of the clock, for machines that have other work.
"""

import asyncio
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.probing import CHECKPOINTS, publish
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from service.app import create_app, create_context
from service.inference.runtime import start_runtime

ROUNDS = 12


async def measure(settings: Settings) -> dict[str, list[tuple[float, float]]]:
    """Seconds by clock and processor, one pair a round, each of two other checkpoints."""
    times: dict[str, list[tuple[float, float]]] = {}
    async with open_backends(settings) as backends:
        context = create_context(settings, backends, start_runtime())
        transport = httpx.ASGITransport(create_app(context, None))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:

            async def ask(path: str) -> tuple[float, float]:
                clock, processor = time.perf_counter(), time.process_time()
                (await client.get(path)).raise_for_status()
                return time.perf_counter() - clock, time.process_time() - processor

            for step in range(ROUNDS):
                path = f"/v1/compare?a=mainline/{step}&b=mainline/{CHECKPOINTS - 1 - step}"
                drift = f"/v1/runs/mainline/drift?reference={step}"
                for name, asked in (("compare", path), (f"drift of {CHECKPOINTS} steps", drift)):
                    for state in ("cold", "kept"):
                        times.setdefault(f"{name}, {state}", []).append(await ask(asked))
    return times


def main() -> None:
    """Print medians of both times and the slowest round, and the peak memory of the process."""
    with tempfile.TemporaryDirectory() as home:
        settings = publish(Path(home))
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        times = asyncio.run(measure(settings))
    for name, values in times.items():
        clock, processor = (
            [1e3 * value for value in column] for column in zip(*values, strict=True)
        )
        medians = statistics.median(clock), statistics.median(processor)
        print(
            f"{name:26} median {medians[0]:8.1f} ms, processor {medians[1]:8.1f} ms"
            f"   max {max(clock):8.1f} ms"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory':30} {peak:15.0f} MB")


if __name__ == "__main__":
    main()
