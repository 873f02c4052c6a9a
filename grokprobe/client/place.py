"""Where a service is, and how patient a client of it is."""

import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from grokprobe.client.asking import Ask, is_of_headers
from grokprobe.client.cache import DEFAULT_BYTES, Cache, default_folder
from grokprobe.client.errors import ClientError

TIMEOUT_S = 60.0
WAIT_S = 300.0
MOST_TIMEOUT_S = 1e9  # a socket takes little more


class Place(msgspec.Struct, frozen=True):
    """A service's address, and how it is asked. `scope` tells services apart in the cache."""

    url: str
    scope: str
    key: str | None = None
    socket: str | None = None
    cache: Cache | None = None
    timeout_s: float = TIMEOUT_S
    wait_s: float = WAIT_S
    bars: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def cache_key(self, ask: Ask) -> str:
        """What an answer is kept under: the service, who asks, of which run and what."""
        return "\0".join([self.scope, self.key or "", ask.identity, ask.path, repr(ask.query)])


def cache_of(given: bool | str | Path | None, most_bytes: int | None) -> Cache | None:
    """The cache that an argument means: a folder, the system's own or none. Raises ClientError."""
    most = checked_number("cache_bytes", DEFAULT_BYTES if most_bytes is None else most_bytes)
    if given is False or given is None:
        return None
    try:
        return Cache(default_folder() if given is True else Path(given), most)
    except TypeError:
        raise ClientError(f"cache: expected True, False or a folder, got {given!r:.80}") from None


def checked_number(name: str, given: Any, most: float = math.inf) -> Any:
    """A number from 0. Raises ClientError for what is none."""
    try:
        if 0 <= given <= most:
            return given
    except (TypeError, ValueError):
        pass
    raise ClientError(f"{name}: expected a number from 0 to {most:g}, got {given!r:.80}")


def address(url: str | None, key: str | None) -> tuple[str, str | None]:
    """Where to ask, and with which key: what is not given is the environment's, else the demo's.

    The environment's key is for the environment's address alone. Raises ClientError.
    """
    if url is None and (url := os.environ.get("GROKPROBE_CLIENT_URL")):
        key = key or os.environ.get("GROKPROBE_CLIENT_KEY")
    return checked(url or "http://127.0.0.1:8000"), checked_key(key)


def checked_key(key: str | None) -> str | None:
    """A key as a header can have it, as from a file that ends with a line. Raises ClientError."""
    key = key.strip() if isinstance(key, str) else key
    if key and not is_of_headers(key):
        raise ClientError("a key holds printable ASCII characters alone, this one does not")
    return key or None


def checked(url: str) -> str:
    """An address without its last slash; a page's is one too. Raises ClientError for others."""
    base = url.strip().partition("#")[0] if isinstance(url, str) else ""
    try:
        parts = urlsplit(base)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        httpx.URL(base)
    except (ValueError, httpx.InvalidURL):  # as a port beyond 65535
        is_one = False
    if not is_one or "?" in base or any(map(str.isspace, base)):
        raise ClientError(
            f"expected an address such as http://127.0.0.1:8000, got {url!r:.200}; "
            "Client.local(PATH) opens a folder or a bucket"
        )
    return base.rstrip("/").removesuffix("/v1")
