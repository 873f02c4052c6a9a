"""Where an answer came from, asked for it in other formats."""

from urllib.parse import urlencode

from grokprobe.client.asking import Ask, Parameter, given
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
