"""A trainer that waits for its reader: it goes on by as many checkpoints as are let through."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from grokprobe.settings import Settings, read_settings
from tests.support.served import PATIENCE_S, environment
from tests.support.trained import tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

EVERY = 20


class Paced:
    """What the test holds: `go` lets the trainer train on."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def go(self, checkpoints: int = 1) -> None:
        """Let so many checkpoints more be trained."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n" * checkpoints)
        self.process.stdin.flush()

    def finish(self) -> None:
        """Let it train to its end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0


@contextmanager
def paced(settings: Settings, run: str) -> Iterator[Paced]:
    """The run of `tiny_config`, trained beside whoever looks; it stands before its first step."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, run],
        env=environment(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Paced(process)
        finally:
            process.kill()


class _Waiting(JsonReporter):
    """Stands at every checkpoint's step until a line comes."""

    def step(self, step: int, loss: float) -> None:
        """Wait for leave."""
        super().step(step, loss)
        if step % EVERY == 0:
            sys.stdin.readline()


if __name__ == "__main__":
    raise SystemExit(start(read_settings(), tiny_config(), sys.argv[1], _Waiting()))
