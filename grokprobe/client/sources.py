"""Where an answer came from, asked for it in other formats."""

from collections.abc import Sequence
from urllib.parse import urlencode

from grokprobe.client.answers import library
from grokprobe.client.asking import Ask, Parameter, given
from grokprobe.client.errors import ClientError
from grokprobe.client.place import Place
from grokprobe.client.records import FORMATS
from grokprobe.client.synchronous.connection import Connection


class Asked:
    """A question that can be asked again, in another format; waits for the answer.

    A notebook shows an answer without awaiting it: so this blocks for clients of either kind.
    `known` are those that were fetched before.
    """

    def __init__(self, ask: Ask, place: Place) -> None:
        self.ask, self._place = ask, place
        self.known: dict[tuple[tuple[str, str], ...], bytes] = {}

    @property
    def address(self) -> str:
        """Where it was asked; the path alone where the service is our own: nobody reaches it."""
        query = f"?{urlencode(self.ask.query)}" if self.ask.query else ""
        base = "" if self._place.socket else self._place.url
        return f"{base}{self.ask.path}{query}"

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats on offer."""
        return FORMATS.get(self.ask.route, ())

    def fetch(self, **query: Parameter) -> bytes:
        """The answer to the same question with this in its query."""
        key = given(query)
        if key not in self.known:
            connection = Connection(self._place, is_known=True)
            try:
                self.known[key] = connection.answer(self.ask.at(**query)).body
            finally:
                connection.close()
        return self.known[key]


class Pages(Asked):
    """The questions of a list that came in several pages, whose tables are put together."""

    def __init__(self, pages: Sequence[Asked]) -> None:
        super().__init__(pages[0].ask, pages[0]._place)
        self._pages = pages

    def fetch(self, **query: Parameter) -> bytes:
        """The pages as one Arrow table. Raises ClientError for any other format."""
        if query.get("format") != "arrow":
            message = f"a list of {len(self._pages)} pages is a record or a table, not one {query}"
            raise ClientError(message)
        ipc, pa = library("pyarrow.ipc"), library("pyarrow")
        tables = [ipc.open_stream(page.fetch(**query)).read_all() for page in self._pages]
        sink = pa.BufferOutputStream()
        table = pa.concat_tables(tables, promote_options="permissive")
        with ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        body: bytes = sink.getvalue().to_pybytes()
        return body
