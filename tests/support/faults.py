"""What happens to a deployment, from outside of it: each lasts for a block, then all is back."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from redis import Redis

from tests.support.deployment import Deployment

Fault = Callable[[Deployment], AbstractContextManager[None]]


@contextmanager
def redis_killed(deployment: Deployment) -> Iterator[None]:
    """Kill -9; connections are refused until it is started again."""
    with deployment.redis.away():
        yield


@contextmanager
def redis_silent(deployment: Deployment) -> Iterator[None]:
    """Connections are accepted, nothing is answered."""
    with deployment.redis.paused():
        yield


@contextmanager
def redis_emptied(deployment: Deployment) -> Iterator[None]:
    """FLUSHALL."""
    deployment.catalogue().flushall()
    yield


@contextmanager
def redis_evicts(deployment: Deployment) -> Iterator[None]:
    """A twenty-fifth of the keys is gone, those of every run among them, as eviction takes them."""
    client = deployment.catalogue()
    for number, key in enumerate(sorted(client.scan_iter("grokprobe:*"))):
        if number % 25 == 0:
            client.delete(key)
    yield


@contextmanager
def redis_loses_every_kind(deployment: Deployment) -> Iterator[None]:
    """Of each run another part is gone."""
    client = deployment.catalogue()
    of_runs: dict[bytes, list[bytes]] = {}
    for key in sorted(client.scan_iter("grokprobe:{run:*")):
        of_runs.setdefault(key.rpartition(b":")[0], []).append(key)
    for number, keys in enumerate(of_runs.values()):
        client.delete(keys[number % len(keys)])
    yield


@contextmanager
def redis_poisoned(deployment: Deployment) -> Iterator[None]:
    """Every record and number of the index is something else, of the type that it had."""
    client = deployment.catalogue()
    for key in list(client.scan_iter("grokprobe:{run:*")):
        match client.type(key):
            case b"string":
                client.set(key, _poisoned(client.get(key)))
            case b"hash":
                client.hset(key, mapping={f: _poisoned(v) for f, v in client.hgetall(key).items()})
            case b"zset":
                client.zadd(key, {"a word": 1, "99999999": 99999999})
            case _:
                client.delete(key)
    yield


@contextmanager
def redis_of_another_layout(deployment: Deployment) -> Iterator[None]:
    """The index is one that a program of another version has written, and says so."""
    deployment.catalogue().hset("grokprobe:ready", "layout", "1")
    yield


def _poisoned(value: Any) -> bytes:
    """The same with other digits: still JSON, where it was, and of the same shape."""
    return bytes(value).translate(bytes.maketrans(b"1234567", b"7654321"))


@contextmanager
def redis_refuses_writes(deployment: Deployment) -> Iterator[None]:
    """Full, and nothing may be evicted."""
    client = deployment.catalogue()
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


@contextmanager
def redis_read_only(deployment: Deployment) -> Iterator[None]:
    """A replica of a server that is not there."""
    client: Redis = deployment.catalogue()
    client.replicaof("127.0.0.1", 1)
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextmanager
def storage_killed(deployment: Deployment) -> Iterator[None]:
    """Kill -9; connections are refused until it is started again."""
    assert deployment.storage
    deployment.storage.kill()
    try:
        yield
    finally:
        deployment.storage.start()


@contextmanager
def storage_silent(deployment: Deployment) -> Iterator[None]:
    """Connections are accepted, nothing is answered."""
    assert deployment.storage
    deployment.storage.freeze()
    try:
        yield
    finally:
        deployment.storage.thaw()


@contextmanager
def both_silent(deployment: Deployment) -> Iterator[None]:
    """Redis and object storage."""
    with redis_silent(deployment), storage_silent(deployment):
        yield


@contextmanager
def service_killed(deployment: Deployment) -> Iterator[None]:
    """Kill -9 of the first; started again before anybody asks."""
    deployment.services[0].signal(signal.SIGKILL)
    with deployment.services[0].away():
        pass
    yield


OF_REDIS: dict[str, Fault] = {
    "Redis killed": redis_killed,
    "Redis silent": redis_silent,
    "Redis emptied": redis_emptied,
    "Redis evicts": redis_evicts,
    "Redis loses a part of each run": redis_loses_every_kind,
    "Redis poisoned": redis_poisoned,
    "Redis of another layout": redis_of_another_layout,
    "Redis full": redis_refuses_writes,
    "Redis read-only": redis_read_only,
}
OF_STORAGE: dict[str, Fault] = {
    "storage killed": storage_killed,
    "storage silent": storage_silent,
    "Redis and storage silent": both_silent,
}
OF_SERVICE: dict[str, Fault] = {"service killed": service_killed}
