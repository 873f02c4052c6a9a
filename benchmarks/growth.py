"""`python -m benchmarks.growth [MODULUS ...]`: how cost grows with the modulus.

Time and peak memory of publishing a checkpoint of a one-layer transformer, and of each answer that
reads all pairs or the weights of a run of two, in a service of its own: at p 59, 113, 251 and 509.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from benchmarks.memory import peak_mib, publish, tell
from benchmarks.servers import Server, how_quiet, service

Request = tuple[str, str, Mapping[str, object]]

MODULI = (59, 113, 251, 509)
RUN = "/v1/runs/mainline"
ANSWERS = [
    f"{RUN}/checkpoints/0/measures?keys=3,5",
    f"{RUN}/checkpoints/0/activations?of=neurons&index=0",
    f"{RUN}/coordinates?frequency=3",
    f"{RUN}/grids?of=correct",
    f"{RUN}/neurons",
    f"{RUN}/pairs",
    "/v1/compare?a=mainline/0&b=mainline/1",
    f"{RUN}/drift",
]
INTERVENTIONS = [
    {"of": "logits", "remove": [3, 5]},
    {"of": "activations", "remove": [3, 5]},
    {"of": "neurons", "remove": [0, 1, 2]},
    {"of": "heads", "remove": [0]},
]


def ask(server: Server, method: str, path: str, body: Mapping[str, object]) -> int:
    """The status of one request, whose answer is read and dropped."""
    url = f"http://127.0.0.1:{server.port}{path}"
    with httpx.stream(method, url, json=body or None, timeout=600) as answer:
        for _ in answer.iter_raw():
            pass
        return answer.status_code


def grow(modulus: int) -> None:
    """The lines of one modulus."""
    with tempfile.TemporaryDirectory() as home:
        arguments = (home, "mainline", modulus, (0, 1))
        own = multiprocessing.get_context("spawn").Process(target=publish, args=arguments)
        own.start()
        own.join()
        asked: list[Request] = [("GET", path, {}) for path in ANSWERS]
        path = f"{RUN}/checkpoints/0/interventions"
        asked += [("POST", path, body) for body in INTERVENTIONS]
        for method, path, body in asked:
            with service(Path(home), GROKPROBE_LOG_FORMAT="json") as server:
                ask(server, "GET", f"{RUN}/checkpoints/0/predictions?a=1&b=2", {})
                before, began = peak_mib(server.process.pid), time.perf_counter()
                status = ask(server, method, path, body)
                rest = f"  {status}, before: {before} MiB"
                what = path.removeprefix("/v1/") + (f" of {body['of']}" if body else "")
                tell(what, began, peak_mib(server.process.pid), rest)


def main() -> None:
    """Every line of every modulus."""
    print(how_quiet())
    for modulus in map(int, sys.argv[1:] or MODULI):
        print(f"p {modulus}")
        grow(modulus)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
