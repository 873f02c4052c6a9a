"""What a report asks a service."""

from urllib.parse import parse_qsl

from grokprobe import Client
from grokprobe.client.asking import Ask
from grokprobe.client.errors import Answered, Busy, Unauthorised

# Of an answer, and with all its attempts: the first of a long run takes longer than a request may.
PATIENT = {"timeout_s": 600, "wait_s": 1800}


def ask(client: Client, path: str) -> tuple[bytes | None, str]:
    """The answer to a path of the API, or why there is none in the service's words.

    Raises ClientError where no service answers, or none without a key.
    """
    place, _, query = path.partition("?")
    asked = Ask(f"GET {place}", f"/v1/{place}", tuple(parse_qsl(query)))
    try:
        return client._connection.answer(asked).body, ""
    except Answered as error:
        if isinstance(error, Busy | Unauthorised):
            raise
        return None, error.detail
