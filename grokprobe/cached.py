"""`cached_property` under no lock: that of functools, until Python 3.12, is one for all instances.

Under it two analyses at the same time went one after the other, and a quick one waited for a slow
one of anybody else's.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached_property(Generic[T]):  # noqa: N801 - it stands where functools' does
    """A property that is computed once and then an attribute; threads at once may each compute it.

    What it computes depends on nothing that changes, so either value serves.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T:
        """The value of an instance, which from now on is its attribute; of a class, this."""
        if instance is None:
            return self
        # Past __setattr__: a frozen dataclass has none.
        value: T = instance.__dict__.setdefault(self._name, self._compute(instance))
        return value
