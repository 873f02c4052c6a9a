"""Read a service from Python: `grokprobe.Client("http://127.0.0.1:8000").run("quickstart")`."""

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grokprobe.client.asynchronous.client import AsyncClient
    from grokprobe.client.synchronous.client import Client

__all__ = ["AsyncClient", "Client"]
HOMES = {
    "AsyncClient": "grokprobe.client.asynchronous.client",
    "Client": "grokprobe.client.synchronous.client",
}


def __getattr__(name: str) -> object:
    """Imported when it is asked for."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _import_httpx()
    return getattr(importlib.import_module(HOMES[name]), name)


def _import_httpx() -> None:
    """Without its command line, whose rich and pygments are a quarter of the client's import."""
    if "httpx" not in sys.modules:
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
        try:
            importlib.import_module("httpx")
        finally:
            del sys.modules["httpx._main"]
