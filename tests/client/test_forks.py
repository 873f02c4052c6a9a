"""A client in a process that forks, as multiprocessing does on Linux: each child has its own."""

import os
import sys
from collections.abc import Callable

import pytest

from grokprobe import Client
from tests.support.served import Served
from tests.support.trained import Trained

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")


def in_a_fork(work: Callable[[], bool]) -> bool:
    """What a child says of its work; it leaves as a program that ends does."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    status = 1
    try:
        status = 0 if work() else 1
    finally:
        os._exit(status)


def test_children_read_their_own_answers(served: Served) -> None:
    """On one connection the parent's and a child's answers would go to either of them."""
    with Client(served.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        connections = client._connection.http
        assert last.predict([(1, 2)]).predictions[0].a == 1

        def asked() -> bool:
            own = client._connection.http is not connections
            pairs = [(a, b) for a in range(5) for b in range(5)]
            return own and all(
                (found.a, found.b) == pair
                for pair in pairs
                for found in last.predict([pair]).predictions
            )

        assert in_a_fork(asked)
        assert client._connection.http is connections
        assert last.predict([(3, 4)]).predictions[0].a == 3


def test_a_child_leaves_the_parents_service(trained: Trained) -> None:
    """That of Client.local: it is stopped by who has started it."""
    with Client.local(trained.settings.home, cache=False) as client:
        child = client._child
        assert child

        def stopped() -> bool:
            child.stop()
            return child.socket.exists()

        assert in_a_fork(stopped)
        assert client.run("tiny").about.run == "tiny"
    assert not child.socket.parent.exists()
