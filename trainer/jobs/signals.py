"""Signals: the first ends training after its step, a second Ctrl-C ends the process."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

early: list[int] = []  # that came before there was training to end


def leave(number: int, _frame: FrameType | None) -> NoReturn:
    """Handle a signal before training: exit, by an exception that a library may ignore.

    It is noted for that: then training, or the sweep, ends as if it came now.
    """
    early.append(number)
    sys.exit(128 + number)


class Interruption:
    """SIGTERM and SIGINT ask training to stop after its step; a second SIGINT stops at once."""

    def __init__(self, last_act: Callable[[], None]) -> None:
        """Take `last_act`, which is called before a second SIGINT ends the process."""
        self.signal = next(iter(early), 0)  # the first one that came
        self._last_act = last_act

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: note the first, exit at a SIGINT after it."""
        if self.signal and number == signal.SIGINT:
            self._last_act()
            os._exit(128 + number)
        self.signal = self.signal or number

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle both signals within a `with`."""
        before = {n: signal.signal(n, self) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
