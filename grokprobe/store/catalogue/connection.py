"""The connection to Redis: commands in, answers out, and failures in the words of our errors."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from grokprobe.errors import CatalogueUnavailable
from grokprobe.spans import span
from grokprobe.store.catalogue.keys import Command

RIGHTS = "the rights are in docs/storage.md"

# As Redis 6.2, Redis 7 and Valkey say it, also within what the library adds.
NO_COMMAND = re.compile(r"no permissions to run the '([^']+)'")
NO_KEY = re.compile(r"no permissions to access|permissions to access a key", re.IGNORECASE)
IN_SCRIPT = re.compile(r"user executing the script")
OF_PIPELINE = re.compile(r"of pipeline caused error: \(?['\"]?(.*?)['\"]?,?\)?$")
ERRNO = re.compile(r"\[?(?:Errno|Error) (-?\d+)\b|: \((\d+), ")
TLS = re.compile(r"\[SSL: (\w+)\]")
ADDRESS = re.compile(r"\S+:\d+\S*|\S*/\S+")


class NotOneServer(RedisError):
    """What was connected to is a Cluster or a Sentinel."""


class WrongServer(CatalogueUnavailable):
    """Redis answers, but is one that cannot hold the index."""


@contextmanager
def answering(client: Redis) -> Iterator[None]:
    """Turn whatever the library raises into a CatalogueUnavailable of one line."""
    try:
        yield
    except NotOneServer as error:
        raise WrongServer(str(error), address(client)) from None
    except (RedisError, OSError) as error:
        raise CatalogueUnavailable(_complaint(error), address(client)) from None


def address(client: Redis) -> str:
    """Where a client connects to, without name and password."""
    options = client.connection_pool.connection_kwargs
    if path := options.get("path"):
        return f"unix://{path}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def _complaint(error: Exception) -> str:
    """What went wrong, without an address."""
    text = " ".join(str(error).split())
    if command := NO_COMMAND.search(text):
        return f"Redis does not let its user run {command[1].upper()}; {RIGHTS}"
    if IN_SCRIPT.search(text):
        return f"Redis does not let its user run a command of a script; {RIGHTS}"
    if NO_KEY.search(text):
        return f"Redis does not let its user have the keys grokprobe:*; {RIGHTS}"
    if isinstance(error, ResponseError):
        inner = OF_PIPELINE.search(text)
        return f"Redis refuses: {_without_addresses(inner[1] if inner else text)}"
    return f"Redis does not answer: {_cause(error, text)}"


def _cause(error: Exception, text: str) -> str:
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "nothing came in time"
    if tls := TLS.search(text):
        return f"TLS fails with {tls[1]}"
    if number := ERRNO.search(text):
        code = int(number[1] or number[2])
        return os.strerror(code) if code > 0 else "its host name is not known"
    return _without_addresses(text) or type(error).__name__


def _without_addresses(text: str) -> str:
    return ADDRESS.sub("...", text).rstrip(".")[:200]


class Connection:
    """Sends commands; every method raises CatalogueUnavailable where Redis is down."""

    def __init__(self, client: Redis) -> None:
        self._client, self.place = client, address(client)

    async def send(self, *commands: Command, atomic: bool = False) -> list[Any]:
        """The answers to some commands, in one round trip; `atomic` puts them into one MULTI."""
        with span("catalogue", commands=len(commands)), answering(self._client):
            async with self._client.pipeline(transaction=atomic) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute()
                return answers

    async def refused(self, *commands: Command) -> list[str]:
        """What its user may not do of some commands, in sentences; other failures are none here."""
        with answering(self._client):
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute(raise_on_error=False)
        return [_complaint(found) for found in answers if isinstance(found, NoPermissionError)]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
