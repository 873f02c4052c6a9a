"""A stand-in hub, and commands that speak to it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.hub import Hub, hub_of_models
from tests.support.served import Served
from tests.support.trained import Trained

AT = "hf://org/tiny"


@dataclass(frozen=True)
class Hubbed:
    """A hub, and where the run `tiny` lies and is served."""

    hub: Hub
    trained: Trained
    served: Served
    folder: Path  # of the library, for its cache

    def environment(self, home: Path | None = None) -> Mapping[str, str]:
        """Of a command; HOME is the trained run's, or another."""
        home = home or self.trained.settings.home_path
        ours = {"GROKPROBE_HOME": str(home), "HF_HOME": str(self.folder)}
        return {**os.environ, **self.hub.environment, **ours}

    def command(self, *arguments: str) -> list[str]:
        """`grokprobe` with these arguments."""
        return [sys.executable, "-m", "grokprobe", *arguments]

    def push(self, *more: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Push the run `tiny`."""
        command = self.command("push", "tiny", AT, "--url", self.served.url, *more)
        return done(command, {**self.environment(), **changes})

    def pull(self, home: Path, *more: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        """Pull it into a HOME."""
        return done(self.command("pull", AT, *more), {**self.environment(home), **changes})


def done(command: list[str], environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """A command that ends by itself."""
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def hubbed(trained: Trained, served: Served, tmp_path: Path) -> Iterator[Hubbed]:
    """An empty hub."""
    with hub_of_models() as hub:
        yield Hubbed(hub, trained, served, tmp_path / "hf")


@pytest.fixture
def pushed(hubbed: Hubbed) -> Hubbed:
    """A hub that has the run."""
    found = hubbed.push()
    assert (found.returncode, found.stderr) == (0, "")
    return hubbed


def after(count: int, method: str, path: str, status: int) -> Callable[[str, str], int]:
    """Break every request of a kind after the first few."""
    seen: list[str] = []

    def breaks(asked: str, where: str) -> int:
        if asked == method and path in where:
            seen.append(where)
            return status if len(seen) > count else 0
        return 0

    return breaks
