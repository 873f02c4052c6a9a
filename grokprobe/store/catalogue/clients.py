"""From a URL to clients of Redis. What a URL may say is a list: all else is decided here.

A client connects when it is first asked, and then looks at whom it talks to: the index needs one
server, which a Cluster is not and a Sentinel does not have.
"""

import re
from collections import Counter
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig
from redis.utils import str_if_bytes

from grokprobe.errors import SettingError
from grokprobe.settings import variable
from grokprobe.store.catalogue.connection import NotOneServer

REDIS_TIMEOUT_S = 1.0
REDIS_RETRIES = 1  # of the connection and of the command, so four attempts
REDIS_CONNECTIONS = 32
REDIS_HEALTH_CHECK_S = 30

OPTIONS = ("db", "username", "password")
TLS_OPTIONS = (
    "ssl_ca_certs",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_password",
)
ALLOWED = {"redis": OPTIONS, "unix": OPTIONS, "rediss": OPTIONS + TLS_OPTIONS}
NUMBER = re.compile(r"[0-9]{1,9}")
NAME = re.compile(r"\w{1,40}", re.ASCII)

WORDING = (
    "is not `embedded`, redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=DB; write "
    "what is special in a name or a password as %XX"
)
# Both by the words of their schemes and by what a server says of itself.
NOT_ONE_SERVER = {
    "cluster": "a Redis Cluster cannot hold the index, one server can: name a Redis that runs by "
    "itself, with `cluster-enabled no`",
    "sentinel": "a Redis Sentinel holds no data: name the server that it watches, which "
    "`redis-cli -p 26379 sentinel get-master-addr-by-name NAME` tells",
}


def connect_redis(url: str) -> Redis:
    """A client for requests: short timeouts, few retries, a bounded pool; connects when asked.

    Raises SettingError for a URL that cannot be used. It is not shown: it may hold a password.
    """
    try:
        check_url(url)
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS,
            timeout=REDIS_TIMEOUT_S,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), REDIS_RETRIES),
            health_check_interval=REDIS_HEALTH_CHECK_S,
            **OURS,
        )
        # Connects nothing yet, but shows the values that it does not take.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        raise SettingError(variable("redis_url"), WORDING) from None
    return Redis.from_pool(pool)


def connect_reader(url: str) -> Redis:
    """A client for blocking reads: no socket timeout and no retries, which its reader has itself.

    The URL is one that `connect_redis` took.
    """
    return Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        **OURS,
    )


def check_url(url: str) -> None:
    """Raise SettingError or ValueError for a URL that says more, or less, than one may."""
    parts = urlsplit(url)
    for word, sentence in NOT_ONE_SERVER.items():
        if word in parts.scheme:
            raise SettingError(variable("redis_url"), sentence)
    if "," in parts.netloc.rpartition("@")[2]:
        message = "names several servers; the index needs one: name that one"
        raise SettingError(variable("redis_url"), message)
    usable = parts.scheme in ALLOWED and not parts.fragment
    # Looked at before options are named: what a stray ? makes of a password shows no port here.
    if not usable or parts.port == 0 or not _has_path(parts):
        raise ValueError
    _check_options(parts)


def _has_path(parts: SplitResult) -> bool:
    """Whether the path is what it may be: of a socket, or the number of a database."""
    if parts.scheme == "unix":
        return parts.path.startswith("/")
    return not parts.path.strip("/") or NUMBER.fullmatch(parts.path[1:]) is not None


def _check_options(parts: SplitResult) -> None:
    """Each once, of those that are allowed: the library would pass any on to its connections."""
    allowed, given = ALLOWED[parts.scheme], parse_qsl(parts.query, keep_blank_values=True)
    for name, count in Counter(name for name, _ in given).items():
        if name not in allowed:
            shown = name if NAME.fullmatch(name) else "that is no word"
            message = f"has an option {shown}; a {parts.scheme}:// URL may have "
            raise SettingError(variable("redis_url"), message + ", ".join(allowed))
        if count > 1:
            raise SettingError(variable("redis_url"), f"has the option {name} {count} times")
    if not NUMBER.fullmatch(dict(given).get("db", "0")):
        raise SettingError(variable("redis_url"), "has an option db that is not a number from 0")


async def _greet(connection: AbstractConnection) -> None:
    """What follows connecting: the library's part, then a look at whom we talk to."""
    try:
        await connection.on_connect_check_health(check_health=False)  # it has just connected
    except ResponseError:  # to SELECT, which only a server that is one by itself takes
        await _check_mode(connection)
        raise
    await _check_mode(connection)


async def _check_mode(connection: AbstractConnection) -> None:
    """Raise NotOneServer for a Cluster and a Sentinel. HELLO asks for no right."""
    try:
        await connection.send_command("HELLO", check_health=False)
        answer: Any = await connection.read_response()
    except ResponseError:  # something in between that does not know it
        return
    mode = str_if_bytes(answer.get(b"mode", b"")) if isinstance(answer, dict) else ""
    if mode in NOT_ONE_SERVER:
        raise NotOneServer(NOT_ONE_SERVER[mode])


# Nothing is sent that needs a right of its own: CLIENT SETINFO, CLIENT MAINT_NOTIFICATIONS.
OURS: dict[str, Any] = {
    "redis_connect_func": _greet,
    "driver_info": None,
    "maint_notifications_config": MaintNotificationsConfig(enabled=False),
}
