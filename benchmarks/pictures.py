"""`python -m benchmarks.pictures`: pictures of a run of p 113 over HTTP, and what they cost others.

1. The first picture of a service, with the start of its renderer.
2. Warm ones by kind, each another picture (by its seed, index or part of the run): milliseconds,
   and those of a processor that the renderer took of them, which other work does not lengthen.
3. Kept ones, and the renderer's memory.
4. Predictions at an even rate for a while, alone and beside 20 pictures that are asked for at once
   again and again: the 99th percentile. The two take turns.
"""

import itertools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.load import Load, post, send
from benchmarks.probing import publish
from benchmarks.servers import how_quiet
from service.rendering.renderer import resident_bytes
from tests.support.drawn import renderer
from tests.support.served import Served, serving

CHECKPOINTS = 400
STARTS, ROUNDS, TURNS = 3, 10, 3
RUN = "/v1/runs/mainline"
LAST = f"{RUN}/checkpoints/{CHECKPOINTS - 1}"
SEEDS = itertools.count(1_000)  # no picture has one that another had
RATE, SECONDS, AT_ONCE = 100, 6.0, 20
# By kind, a path for each number: no two are the same picture.
KINDS = {
    "scatter (embedding)": LAST + "/embedding?lines={n}",
    "bars (spectrum)": LAST + "/spectrum?null=20&seed={n}",
    "heat map (activations)": LAST + "/activations?index={n}",
    "heat map (predictions)": RUN + "/checkpoints/{n}/predictions?theme=dark",
    "heat map (spectra)": RUN + "/spectra?from_step={n}",
    "heat map (pairs)": RUN + "/pairs?from_step={n}",
    "lines (trajectory)": RUN + "/trajectory?from_step={n}",
}


def ask(client: httpx.Client, path: str, chosen: str = "svg") -> float:
    """Milliseconds of a picture."""
    query, began = httpx.URL(path).params.set("format", chosen), time.perf_counter()
    answer = client.get(httpx.URL(path).path, params=query)
    assert answer.status_code == 200, answer.text
    return (time.perf_counter() - began) * 1e3


def told(times: list[float]) -> str:
    """The median of some times, and the slowest."""
    return f"median {statistics.median(times):5.1f} ms, max {max(times):5.1f} ms"


def processor_ms(process: int) -> float:
    """Milliseconds of a processor that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") * 1e3


def warm(served: Served, path: str, chosen: str) -> tuple[list[float], float]:
    """Milliseconds of pictures, the answer of each computed before; those of a processor, each."""
    times, before = [], processor_ms(renderer(served))
    for number in range(1, ROUNDS + 1):
        one = path.format(n=number)
        ask(served.client, one, "vega-lite")
        times.append(ask(served.client, one, chosen))
    return times, (processor_ms(renderer(served)) - before) / ROUNDS


@contextmanager
def drawing(served: Served) -> Iterator[list[float]]:
    """Meanwhile, AT_ONCE clients each ask for one picture after the other; gives their times."""
    ended, times = threading.Event(), list[float]()

    def client() -> None:
        with httpx.Client(base_url=served.url, timeout=600) as own:
            while not ended.is_set():
                times.append(ask(own, f"{LAST}/spectrum?null=20&seed={next(SEEDS)}"))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(client) for _ in range(AT_ONCE)]
        try:
            yield times
        finally:
            ended.set()
        for one in running:
            one.result()


def beside(served: Served) -> None:
    """Print the latencies of predictions, alone and beside pictures."""
    port = httpx.URL(served.url).port
    assert port is not None
    body = post(f"{LAST}/predictions", b'{"pairs":[[3,5]]}')
    load = Load(port=port, requests=[body], connections=8, seconds=SECONDS, rate=RATE)
    alone, crowded, drawn = [], [], 0
    for _ in range(TURNS):
        alone.append(send(load))
        with drawing(served) as times:
            crowded.append(send(load))
        drawn += len(times)
    for name, found in {"alone": alone, f"beside {AT_ONCE} pictures": crowded}.items():
        p50 = statistics.median(one.p50 for one in found)
        p99 = [one.p99 for one in found]
        each = ", ".join(f"{value:.1f}" for value in p99)
        print(f"predictions {name}: median {p50:.1f} ms, 99 % {each} ms")
    print(f"pictures drawn meanwhile: {drawn}")


def main() -> None:
    """Print medians and the slowest."""
    print(how_quiet())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = publish(home, CHECKPOINTS)
        firsts = []
        for start in range(STARTS):
            with serving(settings, home) as served:
                ask(served.client, f"{LAST}/spectrum", "vega-lite")
                firsts.append(ask(served.client, f"{LAST}/spectrum?seed={start}"))
        print(f"first picture: {told(firsts)}")
        with serving(settings, home) as served:
            client = served.client
            ask(client, f"{LAST}/spectrum")
            for name, path in KINDS.items():
                for chosen in ("svg", "png", "pdf"):
                    times, drawing_ms = warm(served, path, chosen)
                    print(f"{name:24} {chosen}  {told(times)}, renderer {drawing_ms:4.0f} ms")
            kept = [ask(client, f"{LAST}/spectrum") for _ in range(50)]
            print(f"kept: {told(kept)}")
            beside(served)
            memory = resident_bytes(renderer(served)) / 1e6
            print(f"renderer after all this: {memory:.0f} MB")


if __name__ == "__main__":
    main()
