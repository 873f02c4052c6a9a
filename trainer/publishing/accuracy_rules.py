"""Two rules on test accuracy at scheduled checkpoints: has it jumped, is training over?

Both rules look at scheduled checkpoints alone and in their order, so that a resumed run, which
hears of the published ones again, decides as it would have without the interruption.
"""

from grokprobe.analysis.emergence import HELD
from trainer.config.schema import Config


class AccuracyRules:
    """Watches test accuracy by scheduled checkpoint; null where nothing is tested."""

    def __init__(self, config: Config) -> None:
        self._change = config.checkpoints.transition_change
        self._settle_steps = config.training.settle_steps
        self._last: float | None = None
        self._since: int | None = None  # the step from which it has generalised
        self.settled = False

    def jumped(self, test_accuracy: float | None) -> bool:
        """Whether the next checkpoint differs from the last by at least `transition_change`."""
        if not self._change or self._last is None or test_accuracy is None:
            return False
        return abs(test_accuracy - self._last) >= self._change

    def see(self, step: int, test_accuracy: float | None) -> None:
        """Note the test accuracy of the next published checkpoint."""
        self._last = test_accuracy
        if test_accuracy is None or test_accuracy < HELD:
            self._since = None
            return
        self._since = step if self._since is None else self._since
        self.settled = 0 < self._settle_steps <= step - self._since
