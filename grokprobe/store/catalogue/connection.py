"""The connection to Redis: commands in, answers out, and failures in the words of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from grokprobe.errors import CatalogueUnavailable
from grokprobe.spans import span
from grokprobe.store.catalogue.keys import Command


@contextmanager
def answering() -> Iterator[None]:
    """Turn whatever the library raises into a CatalogueUnavailable of one line."""
    try:
        yield
    except (RedisError, OSError) as error:
        cause = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise CatalogueUnavailable(f"Redis does not answer: {cause}") from error


class Connection:
    """Sends commands; every method raises CatalogueUnavailable where Redis is down."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def send(self, *commands: Command, atomic: bool = False) -> list[Any]:
        """The answers to some commands, in one round trip; `atomic` puts them into one MULTI."""
        with answering(), span("catalogue", commands=len(commands)):
            async with self._client.pipeline(transaction=atomic) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute()
                return answers

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
