"""Who may ask: API keys, from a file of their digests that is read again when it changes.

    # NAME SHA256HEX [RATE/s]
    notebook  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    dashboard 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 20/s

The keys themselves stand nowhere: whoever reads the file cannot use it. A name may stand on several
lines, while one key takes the place of another. A new file that cannot be read leaves the keys as
they were; one that holds none lets nobody in.
"""

import functools
import hashlib
import hmac
import logging
import math
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from litestar.types import HTTPScope, Receive, Send

from grokprobe.errors import InvalidInput, SettingError
from grokprobe.settings import Settings, variable
from grokprobe.text import read_text
from service.errors import RateExceeded, Unauthorised
from service.http.problems import send_problem
from service.http.routing import Access, Routes
from service.telemetry.metrics import Metrics
from service.telemetry.requests import HTTPApp, header, state_of

logger = logging.getLogger("grokprobe.service")

LINE = re.compile(r"(\S+)\s+([0-9a-fA-F]{64})(?:\s+(\d+(?:\.\d+)?)/s)?")
CHECK_S = 1.0  # between two looks at the file


@dataclass
class Key:
    """One line of the file: whose key it is and how often it may be used, in requests/s."""

    name: str
    digest: str
    rate: float | None
    _left: float = field(default=math.inf, compare=False)
    _counted_at: float = field(default_factory=time.monotonic, compare=False)

    def use(self) -> None:
        """Take one request from what the rate allows: a second's worth at once, at least one.

        Raises RateExceeded.
        """
        if self.rate is None:
            return
        now = time.monotonic()
        gained = self.rate * (now - self._counted_at)
        self._left, self._counted_at = min(max(1.0, self.rate), self._left + gained), now
        if self._left < 1:
            raise RateExceeded(self.name, self.rate, math.ceil((1 - self._left) / self.rate))
        self._left -= 1


def parse_keys(text: str) -> dict[str, Key]:
    """The keys of a file by their digests. Raises InvalidInput that names the line."""
    keys: dict[str, Key] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        rate = float(found[3]) if found and found[3] else None
        if found is None or rate == 0:
            raise InvalidInput(f"line {number}", "is not NAME SHA256HEX [RATE/s]")
        if (digest := found[2].lower()) in keys:
            raise InvalidInput(f"line {number}", "has the digest of an earlier line")
        keys[digest] = Key(found[1], digest, rate)
    return keys


class ApiKeys:
    """The keys of a file, at most CHECK_S behind it."""

    def __init__(self, path: Path) -> None:
        """Raises SettingError for a file that cannot be used."""
        self._path = path
        self._keys: dict[str, Key] = {}
        self._looked_at, self._stamp = 0.0, _stamp(path)
        self._read()

    def identify(self, authorization: str) -> Key:
        """The key that an Authorization header holds. Raises Unauthorised."""
        self._refresh()
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorised("a key is needed here: send `Authorization: Bearer KEY`", "")
        digest = hashlib.sha256(secret.strip().encode("latin-1")).hexdigest()
        key = self._keys.get(digest)
        if key is None or not hmac.compare_digest(key.digest, digest):
            raise Unauthorised("the key is not known here (any more)", "invalid_token")
        return key

    def hold(self, key: Key) -> bool:
        """Whether a key that was let in may stay."""
        self._refresh()
        return key.digest in self._keys

    def _refresh(self) -> None:
        now, stamp = time.monotonic(), self._stamp
        if now - self._looked_at < CHECK_S:
            return
        # Taken before the file is read: a change meanwhile is seen the next time.
        self._looked_at, self._stamp = now, _stamp(self._path)
        if self._stamp == stamp:
            return
        try:
            self._read()
        except SettingError as error:
            logger.warning("%s; the keys stay as they were", error)

    def _read(self) -> None:
        try:
            found = parse_keys(read_text(self._path))
        except InvalidInput as error:
            cause = str(error).removeprefix(f"{self._path}: ")
            message = f"{self._path} cannot be used: {cause}"
            raise SettingError(variable("api_keys_file"), message) from None
        known = self._keys
        # What a key has left stays with it, unless its line has changed.
        self._keys = {d: known[d] if known.get(d) == key else key for d, key in found.items()}
        logger.info("%d API keys in %s", len(found), self._path)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file, also where it is replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def open_keys(settings: Settings) -> ApiKeys | None:
    """The keys without which nobody is answered; None where everybody is.

    Raises SettingError for a file that cannot be used, or where nobody said that others who reach
    this address may ask.
    """
    if settings.api_keys_file:
        return ApiKeys(Path(settings.api_keys_file).expanduser())
    if settings.allow_anonymous or settings.on_loopback:
        return None
    raise SettingError(
        variable("host"),
        f"others reach {settings.host}: name who may ask in {variable('api_keys_file')}, or let "
        f"everybody with {variable('allow_anonymous')}=true",
    )


def protect(
    app: HTTPApp, keys: ApiKeys, metrics: Metrics, routes: Routes, open_metrics: bool
) -> HTTPApp:
    """`app` for those who have a key; health for all, and what describes the service by setting.

    It stands outside the framework, so that no route can be forgotten; which are open is said by
    the routes themselves. A browser's preflight (OPTIONS) carries no key and is told nothing but
    methods.
    """
    free: tuple[Access, ...] = ("anybody", "by-setting") if open_metrics else ("anybody",)

    async def protected(scope: HTTPScope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "OPTIONS" or routes.access(scope["path"], method) in free:
            return await app(scope, receive, send)
        try:
            key = keys.identify(header(scope, b"authorization"))
            key.use()
        except (Unauthorised, RateExceeded) as error:
            metrics.refusals.inc(error.reason)
            return await send_problem(scope, send, error)
        # An answer without end asks it again and again.
        state_of(scope).may_stay = functools.partial(keys.hold, key)
        return await app(scope, receive, send)

    return protected
