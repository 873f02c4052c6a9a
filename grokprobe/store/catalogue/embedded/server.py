"""The embedded Redis: a real server of Redis or Valkey that the programs under one HOME share.

Under HOME/redis (mode 0700) lie the append-only file, the log, the socket, and three lock files.
The kernel drops a lock when its last holder ends, however it ends, so nothing here goes stale:

    start.lock    exclusive, held while one decides to start or stop the server
    users.lock    shared, held by every user; who can have it exclusively is the last one
    server.lock   exclusive, inherited by the server: free exactly when no server runs

The first user starts the server; after kill -9 of all users the next one adopts it; the last one
to leave cleanly stops it.
"""

import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from grokprobe.addresses import MOST_PATH_BYTES, new_socket_folder
from grokprobe.errors import CatalogueUnavailable, SettingError
from grokprobe.settings import variable
from grokprobe.store.catalogue.embedded.program import Program, find_program

WAIT_S = 15.0
POLL_S = 0.01
KEPT = {6: "appendonly.aof", 7: "appendonlydir"}  # by the version from which on it is that


@contextmanager
def embedded_redis(home: Path, named: str = "") -> Iterator[Path]:
    """Use the server of a HOME, starting it if none runs; yields the path of its socket.

    `named` is the program to start; empty: the first that is found.

    It blocks for the moment of starting and stopping, so that a cancelled task cannot leave
    either half done. Raises SettingError if HOME or the program cannot be used,
    CatalogueUnavailable if there is none or the server does not start.
    """
    folder = home / "redis"
    with ExitStack() as stack:
        with _blaming_home(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            users = stack.enter_context(_opened(folder / "users.lock"))
            with _start_lock(folder):
                socket = _serve(folder, named)
                fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield socket
        finally:
            with _blaming_home(folder), _start_lock(folder):
                if _try_lock(users):
                    _stop(folder, socket)


@contextmanager
def _blaming_home(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError) as error:
        raise SettingError(
            variable("home"), f"{folder} cannot hold the embedded Redis: {error}"
        ) from None


# -- locks -----------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _start_lock(folder: Path) -> Iterator[None]:
    path = folder / "start.lock"
    deadline = time.monotonic() + WAIT_S
    with _opened(path) as descriptor:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise CatalogueUnavailable(f"another process has held {path} for {WAIT_S:.0f} s")
            time.sleep(POLL_S)
        yield


def _is_running(folder: Path) -> bool:
    with _opened(folder / "server.lock") as descriptor:
        return not _try_lock(descriptor)


# -- the server; all of this under start.lock --------------------------------------------------


def _serve(folder: Path, named: str) -> Path:
    """Make sure that a server answers, and return the path of its socket."""
    socket = _socket_path(folder)
    for _ in range(2):
        with _opened(folder / "server.lock") as descriptor:
            if _try_lock(descriptor):
                _start(find_program(named), folder, socket, descriptor)
            # Closing our descriptor does not unlock: the server has inherited it.
        if _answers(folder, socket):
            return socket
        # It mends a torn end itself; what else it cannot read goes aside, the index is rebuilt.
        for name in KEPT.values():
            _set_aside(folder / name)
    log = folder / "redis.log"
    raise CatalogueUnavailable(f"the embedded Redis does not start; {log} says why")


def _set_aside(path: Path) -> None:
    """Rename what a server kept, a file or a folder, in the place of what was renamed before."""
    aside = path.with_name(f"{path.name}.unreadable")
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)


def _start(program: Program, folder: Path, socket: Path, server_lock: int) -> None:
    if program.version < (7, 0):
        # It would not see what a newer one kept; that would be taken for new by the next newer one.
        _set_aside(folder / KEPT[7])
    options = {
        "daemonize": "yes",  # its own session, and no child of ours to wait for
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "pidfile": str(folder / "redis.pid"),
        "logfile": str(folder / "redis.log"),
        "loglevel": "warning",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run(
        [program.path, *arguments],
        pass_fds=(server_lock,),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={},  # it needs none of our secrets
        check=False,
    )
    if done.returncode:
        cause = " ".join((done.stderr or done.stdout).split())
        raise CatalogueUnavailable(f"the embedded Redis does not start: {cause}")


def _client(socket: Path) -> Redis:
    return Redis(unix_socket_path=str(socket), socket_timeout=1, retry=Retry(NoBackoff(), 0))


def _answers(folder: Path, socket: Path) -> bool:
    """Wait until the server answers; False if it ended instead."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with suppress(RedisError), _client(socket) as client:
            client.ping()
            return True
        if not _is_running(folder):
            return False
        time.sleep(POLL_S)
    raise CatalogueUnavailable(
        f"the embedded Redis of {folder} runs but does not answer at {socket}; stop the process "
        f"that {folder / 'redis.pid'} names"
    )


def _stop(folder: Path, socket: Path) -> None:
    """Stop the server and wait for its end; one that will not is left to the next user."""
    with suppress(RedisError), _client(socket) as client:
        client.shutdown(nosave=True)  # the append-only file is written out all the same
    deadline = time.monotonic() + WAIT_S
    while _is_running(folder) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if socket.parent != folder:
        with suppress(OSError):
            socket.parent.rmdir()


# -- the socket --------------------------------------------------------------------------------


def _socket_path(folder: Path) -> Path:
    """The socket's path: in the folder or, where that is too long, in a recorded private one."""
    socket = folder / "redis.sock"
    if len(os.fsencode(socket)) <= MOST_PATH_BYTES:
        return socket
    record = folder / "socket-folder"
    if not (record.exists() and _is_private(Path(record.read_text()))):
        record.write_text(str(new_socket_folder()))
    return Path(record.read_text()) / socket.name


def _is_private(folder: Path) -> bool:
    """Whether a folder is ours alone: another user must not be able to put a socket there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    private = stat.S_IMODE(found.st_mode) & 0o077 == 0
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and private
