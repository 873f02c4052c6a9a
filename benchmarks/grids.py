"""`python -m benchmarks.grids`: logits of all pairs as npy, computed and kept, p 113.

Over HTTP beside ONNX Runtime in this process (a session as it comes, all pairs in one run) and
beside a constant answer as long; rounds interleaved. Of 18 checkpoints in turn none is still in a
cache for 15; a cache of one byte keeps nothing, so that answers are computed block by block.
"""

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime as ort

from benchmarks.load import Load, get, send
from benchmarks.peers import PEERS, serving
from benchmarks.servers import Server, how_quiet, service, train_mainline
from grokprobe.task import pairs

MODULUS, CHECKPOINTS = 113, 18
BYTES = 4 * MODULUS**3
ROUNDS, SECONDS = 9, 2.0
IN_PROCESS = "ONNX Runtime in process"
LOGITS = [get(f"/v1/runs/mainline/checkpoints/{step}/logits") for step in range(CHECKPOINTS)]


def over_http(port: int, requests: list[bytes], connections: int) -> float:
    """Answers a second. Raises RuntimeError if one is not 200."""
    load = Load(port=port, requests=requests, connections=connections, seconds=SECONDS)
    report = send(load)
    if set(report.statuses) != {"200"}:
        raise RuntimeError(f"logits were answered with {report.statuses}")
    return report.rate


def in_process(session: ort.InferenceSession) -> float:
    """Grids a second by ONNX Runtime alone."""
    grid, runs, began = pairs(MODULUS), 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        session.run(["logits"], {"pairs": grid})
        runs += 1
    return runs / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    print(how_quiet())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = train_mainline(folder / "home", f"training.steps={CHECKPOINTS - 1}")
        session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        room = str(16 * BYTES)

        def serve(budget: str) -> Server:
            return stack.enter_context(service(folder / "home", GROKPROBE_GRID_CACHE_BYTES=budget))

        with contextlib.ExitStack() as stack:
            some, none = serve(room), serve("1")
            floor = stack.enter_context(serving(PEERS[0], model, folder / "floor"))
            whole, constant = LOGITS, [get("/long")]
            sides: dict[str, Callable[[], float]] = {IN_PROCESS: partial(in_process, session)}
            for n in (1, 2):
                sides |= {
                    f"computed, {n} connections": partial(over_http, some.port, whole, n),
                    f"computed in blocks, {n}": partial(over_http, none.port, whole, n),
                    f"kept, {n}": partial(over_http, some.port, whole[:1], n),
                    f"constant answer, {n}": partial(over_http, floor, constant, n),
                }
            rates: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(ROUNDS):
                for name, side in sides.items():
                    rates[name].append(side())
    for name, found in rates.items():
        ratio = statistics.median(r / a for r, a in zip(found, rates[IN_PROCESS], strict=True))
        print(f"{name:26} {statistics.median(found):7.1f}/s, {ratio:5.2f} times in process")


if __name__ == "__main__":
    main()
