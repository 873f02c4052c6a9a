"""Real Redis servers of kinds that the embedded one is not: with users, a Cluster, a Sentinel."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from grokprobe.store.catalogue.embedded_redis import _binary
from tests.support.served import eventually, free_port

KINDS = {
    "standalone": (),
    "cluster": ("--cluster-enabled", "yes"),
    "sentinel": ("--sentinel",),
}


@contextmanager
def redis_server(folder: Path, kind: str = "standalone") -> Iterator[int]:
    """The port of a server that keeps nothing, on loopback; it ends with the block."""
    process, port = _start(folder, kind)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _start(folder: Path, kind: str) -> tuple["subprocess.Popen[bytes]", int]:
    """Started again where another program has taken the port since it was found free."""
    # A Cluster also takes the port 10,000 above.
    port = next(port for port in iter(free_port, 0) if port < 55_000)
    (folder / "redis.conf").write_text("")  # a Sentinel writes into it
    options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder))
    command = [str(_binary()), str(folder / "redis.conf"), *KINDS[kind], *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    assert eventually(lambda: process.poll() is not None or _answers(port))
    return (process, port) if process.poll() is None else _start(folder, kind)


def _answers(port: int) -> bool:
    with Redis(port=port, socket_timeout=1) as client:
        try:
            return bool(client.ping())
        except RedisConnectionError:
            return False
