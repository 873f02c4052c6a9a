"""Who may work: a permit before any work, and when those who are refused may come back."""

import math
import time
from collections.abc import Callable

from service.errors import Overloaded
from service.telemetry.metrics import Metrics

MAX_RETRY_S = 10  # those who never come back are promised permits too
SMOOTHING = 0.05  # weight of the newest request in the mean


class Admission:
    """At most `permits` requests at a time, and none while `is_late`; the rest are refused."""

    def __init__(
        self, metrics: Metrics, permits: int, is_late: Callable[[], bool] = lambda: False
    ) -> None:
        self._metrics = metrics
        self._is_late = is_late
        self._permits = permits
        self._held = 0
        metrics.in_flight.set_function(lambda: self._held)
        self._mean_s = 0.001  # that a permit is held
        self._promised = 0.0  # to the last who was refused: when a permit is free

    def permit(self) -> "Permit":
        """To be held while a request is at work."""
        return Permit(self)

    def take(self) -> None:
        """Take a permit. Raises Overloaded, counted, when none is left."""
        self.check()
        self._held += 1

    def check(self) -> None:
        """Raise Overloaded, counted, where `take` would: before a body is even read."""
        if self._held >= self._permits or self._is_late():
            reason = "late" if self._held < self._permits else "in_flight"
            self._metrics.refusals.inc(reason)
            raise Overloaded(self._held, self._retry_after_s())

    def give_back(self, held_s: float) -> None:
        """Give a permit back after so many seconds."""
        self._held -= 1
        self._mean_s += SMOOTHING * (held_s - self._mean_s)

    def _retry_after_s(self) -> int:
        """Seconds until a permit is free for one more of the refused.

        Each is promised the next permit after the one before: told the same second, most of a
        crowd would be refused again. Permits come free at the rate held / mean time (Little's law);
        a second, the grain of Retry-After, is promised to no more than there are permits, for they
        come back together.
        """
        now = time.monotonic()
        apart_s = max(self._mean_s / max(1, self._held), 1 / self._permits)
        next_free = max(self._promised, now) + apart_s
        self._promised = min(next_free, now + MAX_RETRY_S)
        return math.ceil(self._promised - now)


class Permit:
    """One permit, held within `with`."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def __enter__(self) -> None:
        self._admission.take()
        self._taken = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._admission.give_back(time.perf_counter() - self._taken)
