"""Where a service is, and how patient a client of it is."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from grokprobe.client.asking import Ask
from grokprobe.client.cache import DEFAULT_BYTES, Cache, default_folder
from grokprobe.client.errors import ClientError

TIMEOUT_S = 60.0
WAIT_S = 300.0


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


def cache_of(given: bool | str | Path, most_bytes: int | None) -> Cache | None:
    """The cache that an argument means: a folder, the system's own or none."""
    if given is False:
        return None
    folder = default_folder() if given is True else Path(given)
    return Cache(folder, DEFAULT_BYTES if most_bytes is None else most_bytes)


def address(url: str | None, key: str | None) -> tuple[str, str | None]:
    """Where to ask, and with which key: what is not given is the environment's, else the demo's.

    The environment's key is for the environment's address alone. Raises ClientError.
    """
    if url is None and (url := os.environ.get("GROKPROBE_CLIENT_URL")):
        key = key or os.environ.get("GROKPROBE_CLIENT_KEY")
    return checked(url or "http://127.0.0.1:8000"), checked_key(key)


def checked_key(key: str | None) -> str | None:
    """A key as a header can have it, as from a file that ends with a line. Raises ClientError."""
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ClientError("a key holds printable ASCII characters alone, this one does not")
    return key or None


def checked(url: str) -> str:
    """An address without its last slash; a page's is one too. Raises ClientError for others."""
    base = url.strip().partition("#")[0]
    try:
        parts = urlsplit(base)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # as a port beyond 65535
        is_one = False
    if not is_one or "?" in base or any(map(str.isspace, base)):
        raise ClientError(
            f"expected an address such as http://127.0.0.1:8000, got {url!r}; "
            "Client.local(PATH) opens a folder or a bucket"
        )
    return base.rstrip("/").removesuffix("/v1")
