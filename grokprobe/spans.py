"""Spans: what took how long, for whoever traces. Without one, `span` is a call that does nothing.

The parts that are worth a span say so here; which library records them is its program's choice.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Fact = str | int
Start = Callable[[str, dict[str, Fact]], AbstractContextManager[object]]

_NOTHING = nullcontext()
_starting: list[Start] = []


def span(name: str, **facts: Fact) -> AbstractContextManager[object]:
    """Time the statements of a `with` as a span."""
    return _starting[-1](name, facts) if _starting else _NOTHING


@contextmanager
def started_by(start: Start) -> Iterator[None]:
    """Let `start` make the spans within a `with`."""
    _starting.append(start)
    try:
        yield
    finally:
        _starting.remove(start)
