"""A trainer that is killed: by the kernel, at an event of its own and not at a time of ours."""

import multiprocessing
import signal

from grokprobe.store.manifest import CheckpointManifest
from tests.stores import kill
from tests.trained import Trained
from trainer.job import start
from trainer.progress import JsonReporter

# Forks of a process that has imported torch and has no threads: each begins at once.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


class Mortal(JsonReporter):
    """Kills its process `steps` training steps after so many checkpoints are published.

    What the publisher's thread does at that moment is as random as on any machine.
    """

    def __init__(self, checkpoints: int, steps: int) -> None:
        super().__init__()
        self.checkpoints, self.steps = checkpoints, steps

    def published(self, manifest: CheckpointManifest) -> None:
        """Count the checkpoints."""
        super().published(manifest)
        self.checkpoints -= 1

    def step(self, step: int, loss: float) -> None:
        """Count the steps after them."""
        super().step(step, loss)
        self.steps -= self.checkpoints <= 0
        if self.steps < 0:
            kill()


def _train(run: Trained, checkpoints: int, steps: int) -> None:
    start(run.settings, run.config, run.run, Mortal(checkpoints, steps), go_on=True)


def killed(run: Trained, checkpoints: int, steps: int) -> bool:
    """Train or go on in another process, as Mortal does; whether it was killed before the end."""
    process = PROCESSES.Process(target=_train, args=(run, checkpoints, steps))
    process.start()
    process.join()
    assert process.exitcode in (-signal.SIGKILL, 0)
    return process.exitcode != 0
