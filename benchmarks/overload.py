"""`python -m benchmarks.overload [--seconds N]`: three times what the service can do, for a minute.

An open load (it does not wait for answers) of predictions of 60 pairs each, from another process on
the same cores: how many are accepted and how fast, how the rest are refused, and the memory of the
service meanwhile. Then a crowd that comes all at once and does as Retry-After says.
"""

import argparse
import tempfile
import threading
from pathlib import Path

from benchmarks.load import Load, Report, post, send
from benchmarks.servers import PREDICTIONS, Server, how_quiet, service, train_mainline

PAIRS = 60  # of one pair each, the client would be the bottleneck
BODY = b'{"pairs":[' + b",".join([b"[3,5]"] * PAIRS) + b"]}"
REQUEST = post(PREDICTIONS, BODY)
CONNECTIONS = 1_000
CROWD = 2_000


def loaded(server: Server, load: Load) -> tuple[Report, list[float]]:
    """A load's report, and the service's memory in MiB at its begin, once a second, at its end."""
    memory, ended = [server.memory_mib()], threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            memory.append(server.memory_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    report = send(load)
    ended.set()
    watcher.join()
    return report, [*memory, server.memory_mib()]


def shares(report: Report) -> str:
    """Each status and its share."""
    total = sum(report.statuses.values())
    return ", ".join(f"{n / total:.1%} {status}" for status, n in sorted(report.statuses.items()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    print(how_quiet())
    with tempfile.TemporaryDirectory() as folder:
        train_mainline(Path(folder))
        with service(Path(folder)) as server:
            closed = Load(port=server.port, requests=[REQUEST], connections=32, seconds=5)
            send(closed)  # warm
            capacity = send(closed).rate
            print(f"capacity, 32 connections: {capacity:,.0f} answers/s of {PAIRS} pairs")
            load = Load(
                port=server.port,
                requests=[REQUEST],
                connections=CONNECTIONS,
                seconds=seconds,
                rate=3 * capacity,
            )
            report, memory = loaded(server, load)
            print(
                f"asked for {load.rate:,.0f}/s over {seconds:g} s, sent {report.offered:,.0f}/s: "
                f"{shares(report)}\n"
                f"accepted: {report.rate:,.0f}/s, p50 {report.p50:.1f} ms, p99 {report.p99:.1f}, "
                f"longest {report.longest:.0f}; Retry-After {report.retry_after} s\n"
                f"memory: {memory[0]:.0f} MiB before, {memory[len(memory) // 4]:.0f} after a "
                f"quarter, {memory[-1]:.0f} at the end, {max(memory):.0f} at most"
            )
            crowd = Load(
                port=server.port,
                requests=[REQUEST],
                connections=CROWD,
                seconds=60,
                honour=True,
                once=True,
            )
            report = send(crowd)
            print(
                f"{CROWD:,} at once that honour Retry-After: {report.statuses.get('200', 0):,} "
                f"answered within {report.seconds:.1f} s; tries -> clients {report.attempts}"
            )


if __name__ == "__main__":
    main()
