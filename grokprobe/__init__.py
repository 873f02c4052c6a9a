"""What the trainer and the service must agree on: the task, the maths, and what is published.

And the client of a service, imported when it is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grokprobe.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    """`Client` and `AsyncClient`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from grokprobe import client

    return getattr(client, name)
