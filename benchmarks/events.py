"""`python -m benchmarks.events [LISTENERS]`: open streams of events in one service, told at once.

Listeners are plain sockets of this process, on the service's cores. A checkpoint is announced in
Redis; its time is taken when each listener has it. Not counted: what a client makes of it.
"""

import asyncio
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from tests.support.served import Served, serving
from tests.support.tiny import tiny_run

LISTENERS = 5_000
ROUNDS = 10
AT_ONCE = 200  # connections being made
WAIT_S = 60
RUN = tiny_run()


class Listener(asyncio.Protocol):
    """A connection to the stream of the run, and when it last heard of a checkpoint."""

    def __init__(self) -> None:
        self.greeted = asyncio.get_running_loop().create_future()
        self.told = asyncio.Event()
        self.told_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"GET /v1/runs/{RUN.name}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """The greeting, or an event."""
        if b"event: checkpoint" in data:
            self.told_at = time.perf_counter()
            self.told.set()
        elif b"retry:" in data and not self.greeted.done():
            self.greeted.set_result(None)


async def connect(port: int, count: int) -> list[Listener]:
    """That many listeners, each greeted."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Listener:
        async with gate:
            loop = asyncio.get_running_loop()
            _, listener = await loop.create_connection(Listener, "127.0.0.1", port)
            await listener.greeted
            return listener

    return await asyncio.gather(*(one() for _ in range(count)))


async def announce(backends: Backends, listeners: list[Listener], step: int) -> list[float]:
    """Milliseconds from before a checkpoint is indexed until each listener has heard of it."""
    for listener in listeners:
        listener.told.clear()
    began = time.perf_counter()
    await backends.catalogue.add_checkpoint(
        msgspec.structs.replace(RUN.checkpoints[0][0], step=step)
    )
    async with asyncio.timeout(WAIT_S):
        for listener in listeners:
            await listener.told.wait()
    return [(listener.told_at - began) * 1e3 for listener in listeners]


def resident_mb(served: Served) -> float:
    """Memory of the service."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


async def readers(backends: Backends) -> int:
    """Connections that Redis has of readers of the stream."""
    [listed] = await backends.catalogue.connection.send(("CLIENT LIST",))
    return sum(client["cmd"] == "xread" for client in listed)


async def measure(settings: Settings, served: Served, count: int) -> None:
    """Connect, announce, print."""
    async with open_backends(settings) as backends:
        await backends.publisher.publish_run(RUN.manifest, RUN.train_mask)
        await backends.catalogue.reconcile(backends.archive, RUN.name)
        before, began = resident_mb(served), time.perf_counter()
        listeners = await connect(served.client.base_url.port or 0, count)
        seconds, after = time.perf_counter() - began, resident_mb(served)
        times = [await announce(backends, listeners, step) for step in range(ROUNDS)]
        print(f"{count} listeners, {await readers(backends)} Redis connection for their events")
    print(
        f"connected and greeted in {seconds:.1f} s, {1024 * (after - before) / count:.1f} kB each"
    )
    for name, pick in (("the median listener", statistics.median), ("the last listener", max)):
        found = [pick(round_) for round_ in times]
        print(
            f"announced -> {name:20} median of {ROUNDS} rounds {statistics.median(found):6.0f} ms, "
            f"worst {max(found):6.0f} ms"
        )


def main() -> None:
    """Serve an empty run and listen to it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else LISTENERS
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home, log_format="json")
        with serving(settings, Path(home)) as served:
            asyncio.run(measure(settings, served, count))


if __name__ == "__main__":
    main()
