"""What client, run, group and checkpoint have in common: to ask, and to read the answer."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from grokprobe.client.answers import Answer, Array
from grokprobe.client.asking import Ask, ask
from grokprobe.client.asynchronous.connection import AsyncConnection
from grokprobe.client.errors import ClientError, Damaged
from grokprobe.client.sources import Asked, Pages

A = TypeVar("A", bound=Answer)


class Resource:
    """A part of the API with names in its routes; `identity` says of which run."""

    def __init__(
        self, connection: AsyncConnection, names: Mapping[str, str], identity: str = ""
    ) -> None:
        self._connection, self._names, self._identity = connection, names, identity

    async def _named(self) -> Mapping[str, str]:
        """The names in the routes."""
        return self._names

    async def _ask(self, route: str, body: Any = None, more: Any = None, **query: Any) -> Ask:
        names = {**await self._named(), **(more or {})}
        return ask(route, names, query, self._identity, body)

    async def _get(self, kind: type[A], route: str, **query: Any) -> A:
        asked = await self._ask(route, **query)
        body = (await self._connection.answer(asked)).body
        return self._read(kind, asked, body)

    async def _one_of(
        self, kind: type[A], other: type[Answer], instead: str, route: str, **query: Any
    ) -> A:
        """The answer of a route that has two forms. Raises ClientError where it is the other."""
        asked = await self._ask(route, **query)
        body = (await self._connection.answer(asked)).body
        try:
            return self._read(kind, asked, body)
        except Damaged as error:
            self._read(other, asked, body)
            raise ClientError(instead) from error

    async def _get_pages(self, kind: type[A], route: str, rows: str, **query: Any) -> A:
        """A list of all pages: the first one's record, to whose `rows` those of the others come."""
        found: Any = await self._get(kind, route, **query)
        pages = [found]
        while pages[-1].next is not None:
            pages.append(await self._get(kind, route, after=pages[-1].next, **query))
        for page in pages[1:]:
            getattr(found, rows).extend(getattr(page, rows))
        found.next = None
        if len(pages) > 1:
            found.__dict__["source"] = Pages([page.__dict__["source"] for page in pages])
        return found  # type: ignore[no-any-return]

    async def _get_array(self, asked: Ask) -> Array:
        kept = await self._connection.answer(asked.at(format="npy"))
        return Array(kept.body, self._source(asked))

    async def _get_text(self, asked: Ask) -> str:
        return (await self._connection.answer(asked)).body.decode()

    def _read(self, kind: type[A], asked: Ask, body: bytes) -> A:
        try:
            found = msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise Damaged(f"{asked.path}: {error}; is the service of another version?") from error
        step = getattr(found, "step", None)
        # The answer to a label stays what it is, also where the label moves on.
        asked = asked.at_step(step) if isinstance(step, int) else asked
        found.__dict__["source"] = self._source(asked)
        return found

    def _source(self, asked: Ask) -> Asked:
        return Asked(asked, self._connection.place)
