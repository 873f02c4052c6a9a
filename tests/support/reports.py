"""What a fault did to clients, for the report of the tests: what they saw, and until when."""

import time
from collections import Counter
from collections.abc import Iterable


class Report:
    """Lines of a test on standard output, which `-s` shows."""

    def __init__(self, test: str) -> None:
        self._test = test
        self._over_at: float | None = None

    def saw(self, statuses: Iterable[int]) -> None:
        """What was answered while it lasted."""
        counts = sorted(Counter(statuses).items())
        self._tell("clients saw", ", ".join(f"{status} x {count}" for status, count in counts))

    def over(self) -> None:
        """The fault is over; what counts is when this is called first."""
        self._over_at = self._over_at or time.monotonic()

    def recovered(self, what: str = "ready") -> None:
        """So far all is as before."""
        assert self._over_at
        self._tell(f"seconds until {what}", f"{time.monotonic() - self._over_at:.1f}")

    def _tell(self, name: str, value: str) -> None:
        print(f"REPORT {self._test}: {name}: {value}")
