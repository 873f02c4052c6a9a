"""`python -m benchmarks.manners`: how fast a 304 is, beside a constant answer and a whole one.

One service process over a run of its own, the client on the same cores. Medians over rounds; each
answer takes turns with the constant one, and its ratio is to that.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from statistics import median

import httpx
import uvloop

from benchmarks.load import rate
from benchmarks.probing import publish

PORT = 8765
ROUNDS, SECONDS = 15, 0.2
LAST = "/v1/runs/mainline/checkpoints/39"
ANSWERS = {
    "a spectrum": f"{LAST}/spectrum",
    "by format and query": f"{LAST}/embedding?projection=pca&dimensions=3&format=csv",
    "by a label": "/v1/runs/mainline/checkpoints/latest/neurons",
    "model.onnx": f"{LAST}/model.onnx",
    "a run's trajectory": "/v1/runs/mainline/trajectory",
}


@contextmanager
def serving(home: Path) -> Iterator[None]:
    """The service over what is published at a folder."""
    environment = {**os.environ, "GROKPROBE_HOME": str(home), "GROKPROBE_PORT": str(PORT)}
    process = subprocess.Popen([sys.executable, "-m", "service"], env=environment, stderr=-3)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{PORT}/livez")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


async def measure(connections: int) -> dict[str, list[tuple[float, float]]]:
    """Answers per second by name beside those of the constant just before, a pair a round."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for name, (path, status, headers) in cases().items():
            constant = await rate(PORT, "/livez", connections, SECONDS)
            found = await rate(PORT, path, connections, SECONDS, status, **headers)
            pairs.setdefault(name, []).append((found, constant))
    return pairs


@cache
def cases() -> dict[str, tuple[str, int, dict[str, str]]]:
    """Path, status and headers of each request, by name."""
    found: dict[str, tuple[str, int, dict[str, str]]] = {}
    for name, path in ANSWERS.items():
        etag = httpx.get(f"http://127.0.0.1:{PORT}{path}", timeout=60).headers["etag"]
        found[f"304, {name}"] = (path, 304, {"If_None_Match": etag})
    return {**found, "200, a spectrum": (f"{LAST}/spectrum", 200, {})}


def main() -> None:
    """Print requests per second and ratios, at 1 and 32 connections."""
    with tempfile.TemporaryDirectory() as home:
        publish(Path(home))
        with serving(Path(home)):
            for connections in (1, 32):
                pairs = uvloop.run(measure(connections))
                constant = median(c for values in pairs.values() for _, c in values)
                print(f"{connections} connections\n  {'constant answer':28} {constant:8.0f}/s")
                for name, values in pairs.items():
                    ratio = median(v / c for v, c in values)
                    print(f"  {name:28} {median(v for v, _ in values):8.0f}/s   {ratio:5.2f}")


if __name__ == "__main__":
    main()
