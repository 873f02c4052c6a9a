"""The embedded Redis: one server, shared, adopted, stopped; with real processes."""

import asyncio
import os
import platform
import shutil
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

from grokprobe.addresses import MOST_PATH_BYTES
from grokprobe.errors import CatalogueUnavailable, SettingError
from grokprobe.settings import read_settings
from grokprobe.store.backends import open_redis
from grokprobe.store.catalogue.embedded.program import CARRIED, carried_programs, find_program
from grokprobe.store.catalogue.embedded.server import embedded_redis
from tests.deploy.test_images import asked
from tests.support.served import eventually

PROGRAMS = {path.name: path for path in carried_programs()}  # Redis 6.2 and Valkey 8.1
# Joins, tells the id of the server, leaves when its input ends.
USER = """
import sys
from pathlib import Path
from redis import Redis
from grokprobe.settings import read_settings
from grokprobe.store.backends import open_redis
from grokprobe.store.catalogue.embedded.program import CARRIED, carried_programs, find_program
from grokprobe.store.catalogue.embedded.server import embedded_redis
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
    # A newer server has a folder, and in it what came since the last snapshot.
    [kept] = [path for path in (tmp_path / "redis").rglob("*.aof") if "base" not in path.name]
    with kept.open("ab") as file:
        file.write(torn)
    with client(tmp_path) as joined:
        assert joined.get("key") == b"value"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_file_that_it_cannot_read_is_set_aside(tmp_path: Path, name: str) -> None:
    """The index can be rebuilt, so an unreadable file does not stop the start."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"this is no append-only file\n" * 9)
    with (
        embedded_redis(tmp_path, str(PROGRAMS[name])) as socket,
        Redis(unix_socket_path=str(socket)) as joined,
    ):
        assert joined.dbsize() == 0
    # A newer one has taken it into its folder first.
    assert len(list((tmp_path / "redis").glob("*.unreadable"))) == 1


def test_a_long_home_gets_a_socket_elsewhere(tmp_path: Path) -> None:
    """A private folder, recorded so that others find it, and gone with the server."""
    home = tmp_path / ("long" * 30)
    with embedded_redis(home) as socket:
        assert len(os.fsencode(socket)) <= MOST_PATH_BYTES
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


# -- which program it is --------------------------------------------------------------------------


def stand_in(folder: Path, name: str, says: str, status: int = 0) -> Path:
    """A program of that name which says its version and does no more."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    program.chmod(0o755)
    return program


def on_path(monkeypatch: pytest.MonkeyPatch, folder: Path, **programs: Path) -> None:
    """A PATH that has these alone; `_` in a name stands for `-`."""
    folder.mkdir(exist_ok=True)
    for name, program in programs.items():
        (folder / name.replace("_", "-")).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))


def serves(home: Path, named: str = "") -> str:
    """The program of the server that answers, by its process."""
    with embedded_redis(home, named) as socket, Redis(unix_socket_path=str(socket)) as joined:
        joined.set("key", "value")
        return str(Path(f"/proc/{server_id(joined)}/exe").readlink())


def test_wheels_carry_two_servers() -> None:
    """Those of the tests below."""
    assert set(PROGRAMS) == {"redis-server", "valkey-server"}


def test_the_order_in_which_a_program_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting's, then Valkey's on PATH, then Redis's on PATH, then a wheel's; each serves."""
    redis, valkey = PROGRAMS["redis-server"], PROGRAMS["valkey-server"]
    on_path(monkeypatch, tmp_path / "none")
    assert serves(tmp_path / "home") == str(redis)  # the first of the wheels
    on_path(monkeypatch, tmp_path / "one", redis_server=valkey)
    assert find_program("") == (tmp_path / "one" / "redis-server", (8, 1))
    assert serves(tmp_path / "home") == str(valkey)
    on_path(monkeypatch, tmp_path / "two", redis_server=redis, valkey_server=valkey)
    assert find_program("") == (tmp_path / "two" / "valkey-server", (8, 1))
    assert find_program("redis-server") == (tmp_path / "two" / "redis-server", (6, 2))
    assert serves(tmp_path / "home", str(redis)) == str(redis)


def test_the_setting_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path beginning with `~`, or a name on PATH, through the settings of the programs."""
    on_path(monkeypatch, tmp_path / "path")
    (tmp_path / "mine").symlink_to(PROGRAMS["valkey-server"])
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = read_settings(
        {"GROKPROBE_HOME": str(tmp_path / "home"), "GROKPROBE_REDIS_SERVER": "~/mine"}
    )

    async def version() -> str:
        async with open_redis(settings):
            with Redis(unix_socket_path=str(tmp_path / "home/redis/redis.sock")) as joined:
                return str(joined.info("server")["valkey_version"])

    assert asyncio.run(version()).startswith("8.1.")


@pytest.mark.parametrize(
    ("says", "status", "reason"),
    [
        ("Redis server v=5.0.14 sha=00000000:0", 0, "Redis 5.0 is too old; 6.2 is the oldest"),
        ("Redis server v=6.0.16 sha=00000000:0", 0, "Redis 6.0 is too old; 6.2 is the oldest"),
        ("a web server of somebody", 0, "does not say that it is a server of Redis or Valkey"),
        ("", 1, "does not say that it is a server of Redis or Valkey"),
    ],
)
def test_a_program_that_cannot_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, status: int, reason: str
) -> None:
    """An error of the setting that names it; on PATH it is passed by, and told if none is left."""
    program = stand_in(tmp_path / "programs", "redis-server", says, status)
    with pytest.raises(SettingError, match=f"GROKPROBE_REDIS_SERVER: .*{reason}"):
        find_program(str(program))
    on_path(monkeypatch, tmp_path / "path", redis_server=program)
    assert find_program("").path == PROGRAMS["redis-server"]
    for module in CARRIED:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(CatalogueUnavailable, match=f"none is here .*{reason}"):
        find_program("")


@pytest.mark.parametrize("named", ["nowhere-server", "/nowhere/redis-server", "~/x", "/dev/null"])
def test_a_name_of_no_program(named: str) -> None:
    """An error of the setting, with what is expected and what was given."""
    with pytest.raises(SettingError, match=rf"GROKPROBE_REDIS_SERVER: expected .*, got '{named}'"):
        find_program(named)


@pytest.mark.parametrize(
    ("system", "python", "advice"),
    [
        (("linux", "x86_64"), (3, 11), "pip install 'grokprobe\\[embedded\\]'"),
        (("darwin", "arm64"), (3, 13), "pip install 'grokprobe\\[embedded\\]'"),
        (("linux", "x86_64"), (3, 14), "install Valkey or Redis"),
        (("linux", "aarch64"), (3, 12), "install Valkey or Redis"),
        (("darwin", "x86_64"), (3, 12), "install Valkey or Redis"),
    ],
)
def test_where_there_is_none_the_error_says_what_to_install(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: tuple[str, str],
    python: tuple[int, int],
    advice: str,
) -> None:
    """The extra where it has a wheel for this system and Python, else the system's own package."""
    markers = {"sys_platform": system[0], "platform_machine": system[1]}
    by_extra = asked("embedded", **markers, python_version=".".join(map(str, python)))
    assert bool(by_extra) == ("pip install" in advice)
    on_path(monkeypatch, tmp_path / "none")
    for module in CARRIED:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys, "platform", system[0])
    monkeypatch.setattr(platform, "machine", lambda: system[1])
    monkeypatch.setattr(sys, "version_info", python)
    with pytest.raises(
        CatalogueUnavailable, match=rf"{advice}.*GROKPROBE_REDIS_SERVER.*GROKPROBE_REDIS_URL"
    ):
        find_program("")


@pytest.mark.parametrize("between", ["valkey-server", "redis-server"])
def test_a_home_outlives_a_change_of_its_program(tmp_path: Path, between: str) -> None:
    """There and back: what is read is what was written last, or nothing, never what is older."""
    [other] = PROGRAMS.keys() - {between}
    for value, name in enumerate((other, between, other, between)):
        with (
            embedded_redis(tmp_path, str(PROGRAMS[name])) as socket,
            Redis(unix_socket_path=str(socket)) as joined,
        ):
            assert joined.get("last") in (None, str(value - 1).encode())
            joined.set("last", value)


def test_what_a_newer_program_cannot_read_is_set_aside(tmp_path: Path) -> None:
    """In its folder too; and again, in the place of what was set aside before."""
    kept = tmp_path / "redis" / "appendonlydir"
    for _ in range(2):
        kept.mkdir(parents=True)
        (kept / "appendonly.aof.manifest").write_text("this is no manifest\n")
        with embedded_redis(tmp_path, str(PROGRAMS["valkey-server"])) as socket:
            assert Redis(unix_socket_path=str(socket)).dbsize() == 0
        shutil.rmtree(kept)
    assert (tmp_path / "redis" / "appendonlydir.unreadable").is_dir()


def test_a_server_that_hangs_is_neither_replaced_nor_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second server on the same files would ruin them: an error, and the first one lives."""
    monkeypatch.setattr("grokprobe.store.catalogue.embedded.server.WAIT_S", 0.5)
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
