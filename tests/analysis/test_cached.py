"""A value that is computed once, and holds up nobody who computes another's."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier

import pytest

from grokprobe.cached import cached_property


@dataclass(frozen=True)
class Squared:
    """Its square, which is computed when `meeting` has all."""

    number: int
    meeting: Barrier
    asked: list[int] = field(default_factory=list)

    @cached_property
    def square(self) -> int:
        """The square."""
        self.asked.append(self.number)
        self.meeting.wait(60)
        return self.number**2


def test_instances_do_not_wait_for_each_other() -> None:
    """Both are at work at the same time: else neither would ever end."""
    meeting = Barrier(2)
    both = [Squared(number, meeting) for number in (2, 3)]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda one: one.square, both)) == [4, 9]


def test_it_is_computed_once() -> None:
    """A second look finds the value; that of a frozen dataclass too."""
    one = Squared(4, Barrier(1))
    assert (one.square, one.square, one.asked) == (16, 16, [4])


def test_threads_at_once_see_one_value() -> None:
    """Who is later than another takes its value, though it has computed it too."""
    meeting = Barrier(2)
    made = [object(), object()]

    class Shared:
        @cached_property
        def value(self) -> object:
            meeting.wait(60)
            return made.pop()

    shared = Shared()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: shared.value, range(2))
    assert first is second is shared.value


def test_what_fails_is_computed_anew() -> None:
    """An error is not a value."""

    class Failing:
        times = 0

        @cached_property
        def value(self) -> int:
            self.times += 1
            return 1 // (self.times - 1)

    failing = Failing()
    with pytest.raises(ZeroDivisionError):
        _ = failing.value
    assert failing.value == 1


def test_of_the_class_it_is_itself() -> None:
    """With the docstring of what it computes."""
    assert Squared.square.__doc__ == "The square."
