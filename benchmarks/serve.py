"""`python -m benchmarks.serve [--quick]`: predictions of one pair, a second, beside others'.

One run of the mainline network (p 113), the same file for all: ours, Litestar's floors (a constant
answer), FastAPI by hand, MLServer, BentoML, and ONNX Runtime in this process as the limit. One
worker each, the client on the same cores. Rounds are interleaved: a busy machine is busy for all.
Then the latency of ours, and of the floor that reads the body, each at 70 % of its capacity.
"""

import argparse
import contextlib
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from benchmarks.load import Load, Report, post, send
from benchmarks.peers import PEERS, serving
from benchmarks.servers import BODY, PREDICTIONS, how_quiet, service, train_mainline

CONNECTIONS = (1, 8, 32, 64)
OURS, IN_PROCESS = "grokprobe", "ONNX Runtime in process"
WARM_S = 0.3
START_S = 60


class Target(NamedTuple):
    """Something that answers, or in-process inference where there is no port."""

    name: str
    port: int
    request: bytes


@contextlib.contextmanager
def targets(folder: Path) -> Iterator[tuple[list[Target], Path]]:
    """Everything to be measured, running, and the model's file."""
    model = train_mainline(folder / "home")
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(service(folder / "home"))
        found = [Target(OURS, ours.port, post(PREDICTIONS, BODY))]
        for number, peer in enumerate(PEERS):
            try:
                port = stack.enter_context(serving(peer, model, folder / str(number)))
                new = [Target(n, port, post(path, peer.body)) for n, path in peer.paths.items()]
                for target in new:
                    wait_for(target)
            except RuntimeError as error:
                print(f"left out: {', '.join(peer.paths)}: {error}")
                continue
            found += new
        yield found, model


def wait_for(target: Target) -> None:
    """Wait until it answers with 200: some listen before they can. Raises RuntimeError."""
    until, answer = time.monotonic() + START_S, b"nothing"
    while time.monotonic() < until:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", target.port), timeout=5) as connection,
        ):
            connection.sendall(target.request)
            answer = connection.recv(65_536)
            if answer.startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.2)
    raise RuntimeError(f"{target.name} answers {answer[-300:]!r}")


def rate(target: Target, connections: int, seconds: float) -> float:
    """Answers a second. Raises RuntimeError if one is not 200."""
    load = Load(
        port=target.port, requests=[target.request], connections=connections, seconds=seconds
    )
    report = send(load)
    if set(report.statuses) != {"200"}:
        raise RuntimeError(f"{target.name} answered {report.statuses}")
    return report.rate


def in_process(model: Path, pairs: int, seconds: float) -> float:
    """Pairs a second by ONNX Runtime alone on one thread, so many in a run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    asked, runs, began = np.tile([[3, 5]], (pairs, 1)), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        session.run(["logits"], {"pairs": asked})
        runs += 1
    return pairs * runs / (time.perf_counter() - began)


def measure(
    found: list[Target], model: Path, rounds: int, seconds: float
) -> dict[str, dict[int, list[float]]]:
    """Rates by name and number of connections, one a round."""
    rates: dict[str, dict[int, list[float]]] = {}
    for target in found:
        rate(target, 1, WARM_S)
    for _ in range(rounds):
        for connections in CONNECTIONS:
            for target in found:
                by_connections = rates.setdefault(target.name, {})
                measured = rate(target, connections, seconds)
                by_connections.setdefault(connections, []).append(measured)
            limit = in_process(model, connections, seconds / 3)
            rates.setdefault(IN_PROCESS, {}).setdefault(connections, []).append(limit)
    return rates


def print_rates(rates: dict[str, dict[int, list[float]]]) -> None:
    """Medians, and how many times each ours is: the median of the rounds' ratios."""
    print(f"{'answers/s (ours is so many times)':34}" + "".join(f"{n:>18}" for n in CONNECTIONS))
    for name, by_connections in rates.items():
        cells = []
        for connections, values in by_connections.items():
            ours = rates[OURS][connections]
            times = statistics.median(o / v for o, v in zip(ours, values, strict=True))
            cells.append(f"{statistics.median(values):10,.0f} ({times:5.2f})")
        print(f"{name:34}" + "".join(f"{cell:>18}" for cell in cells))


def print_latencies(found: list[Target], capacities: list[float], rounds: int) -> None:
    """Latency under an open load of 70 % of capacity, from when each request was due."""
    reports: dict[str, list[Report]] = {target.name: [] for target in found}
    for _ in range(rounds):
        for target, capacity in zip(found, capacities, strict=True):
            load = Load(
                port=target.port,
                requests=[target.request],
                connections=64,
                seconds=3,
                rate=0.7 * capacity,
            )
            reports[target.name].append(send(load))
    for target, capacity in zip(found, capacities, strict=True):
        mine = reports[target.name]
        p50s, p99s = sorted(r.p50 for r in mine), sorted(r.p99 for r in mine)
        print(
            f"{target.name}, 70 % of {capacity:,.0f}/s: p50 {statistics.median(p50s):.2f} ms, p99 "
            f"{statistics.median(p99s):.2f} ms (of {rounds} rounds {p99s[0]:.2f} to {p99s[-1]:.2f})"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute or two, rough figures")
    quick = parser.parse_args().quick
    rounds, seconds = (3, 0.6) if quick else (7, 1.0)
    print(f"{how_quiet()}; {rounds} rounds of {seconds:g} s")
    with (
        tempfile.TemporaryDirectory() as folder,
        targets(Path(folder)) as (found, model),
    ):
        rates = measure(found, model, rounds, seconds)
        print_rates(rates)
        few = found[:2]  # ours and the floor that reads the body
        print_latencies(few, [statistics.median(rates[t.name][32]) for t in few], 3 * rounds)
    print(f"load average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
