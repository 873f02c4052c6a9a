"""A service of our own for a folder, a bucket or a HOME: a child process on a Unix socket.

It ends when its standard input does, which this process holds: so also when this one dies.
"""

import atexit
import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from grokprobe.addresses import new_socket_folder
from grokprobe.cli.programs import command_line, environment
from grokprobe.client.errors import NotHere

START_S = 60
STOP_S = 30
OURS = "GROKPROBE_"
# They are about a service that others reach.
OF_SERVERS = ("HOST", "PORT", "API_KEYS_FILE", "ROOT_PATH", "CORS_ORIGINS")
OF_STORES = ("HOME", "STORE_URL", "REDIS_URL")


class Child:
    """A running service; `scope` says what it serves."""

    def __init__(self, where: str | Path | None) -> None:
        if importlib.util.find_spec("litestar") is None:
            raise NotHere("a local service needs an extra: pip install 'grokprobe[service-cpu]'")
        self._owner = os.getpid()
        self.process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        try:
            atexit.register(self.stop)
            self._folder = folder = new_socket_folder()
            self.socket, self._log = folder / "service.socket", folder / "service.log"
            self.scope, given = settings_of(where, folder)
            with self._log.open("wb") as output:
                self.process = subprocess.Popen(
                    command_line("service", "--socket", str(self.socket)),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    env={**environment(), **given} if where is None else {**clean(), **given},
                    process_group=0,  # Ctrl-C is for whoever asks
                )
            self._wait(self.process)
        except BaseException:  # Ctrl-C, too, wherever it comes
            self.stop()
            raise

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        """Return once it listens. Raises NotHere, with its own words, if it does not."""
        deadline = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as knocking, contextlib.suppress(OSError):
                knocking.connect(str(self.socket))
                return
            time.sleep(0.05)
        said = self._log.read_text(errors="replace").strip().splitlines()
        raise NotHere(f"no service for {self.scope}: {said[-1] if said else 'it did not start'}")

    def stop(self) -> None:
        """End it and remove its folder; a second time, or in a fork, does nothing."""
        if self._owner != os.getpid():
            return
        if process := self.process:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.stop)  # last: what Ctrl-C cuts is done at the exit


def started(where: str | Path | None) -> Child:
    """A service for a place. Raises NotHere."""
    return Child(where)


def clean() -> dict[str, str]:
    """The environment without what says which store is meant."""
    unwanted = {OURS + name for name in (*OF_SERVERS, *OF_STORES)}
    return {name: value for name, value in environment().items() if name not in unwanted}


def settings_of(where: str | Path | None, folder: Path) -> tuple[str, dict[str, str]]:
    """What is served, in words, and the settings for it. Raises NotHere where there is nothing."""
    if where is None:
        home = Path(os.environ.get(OURS + "HOME", ".grokprobe")).expanduser().absolute()
        store = os.environ.get(OURS + "STORE_URL") or str(home)
        blank = {OURS + name: "" for name in ("API_KEYS_FILE", "ROOT_PATH")}
        return store, {OURS + "HOST": "127.0.0.1", **blank}
    if "://" in str(where):
        return str(where), {OURS + "STORE_URL": str(where), OURS + "HOME": str(folder / "home")}
    try:
        path = Path(where).expanduser().absolute()
    except TypeError:
        raise NotHere(f"expected a folder or a bucket, got {where!r:.80}") from None
    if (path / "store").is_dir():
        return str(path), {OURS + "HOME": str(path)}
    if (path / "runs").is_dir():
        return str(path), {OURS + "STORE_URL": path.as_uri(), OURS + "HOME": str(folder / "home")}
    raise NotHere(f"{path} holds no runs: expected a folder with `runs/`, or a HOME with `store/`")
