"""Real Redis servers of kinds that the embedded one is not: with users, a Cluster, a Sentinel."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from grokprobe.store.catalogue.embedded.program import find_program
from tests.support.served import eventually, free_port

KINDS = {
    "standalone": (),
    "cluster": ("--cluster-enabled", "yes"),
    "sentinel": ("--sentinel",),
}


@contextmanager
def redis_server(folder: Path, kind: str = "standalone", port: int = 0) -> Iterator[int]:
    """The port of a server on loopback; it is killed at the end of the block.

    With a `port` it is that one again. It begins with what `dump.rdb` in the folder has.
    """
    process, port = _start(folder, kind, port)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _start(folder: Path, kind: str, given: int = 0) -> tuple["subprocess.Popen[bytes]", int]:
    """Started again where another program has taken the port since it was found free."""
    # A Cluster also takes the port 10,000 above.
    port = given or next(port for port in iter(free_port, 0) if port < 55_000)
    (folder / "redis.conf").write_text("")  # a Sentinel writes into it
    options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder))
    command = [str(find_program("").path), str(folder / "redis.conf"), *KINDS[kind], *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    assert eventually(lambda: process.poll() is not None or _answers(port))
    return (process, port) if process.poll() is None else _start(folder, kind, given)


def _answers(port: int) -> bool:
    with Redis(port=port, socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except RedisConnectionError:
            return False
