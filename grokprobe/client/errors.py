"""What a client raises: one family.

ClientError
├── Answered        the service answered with a problem: title, detail, status
│   ├── InvalidRequest  400 and what is like it: the question was wrong
│   ├── Unauthorised    401, 403: no key, or none that is known
│   ├── NotFound        404: no such run, step, label, group or resource
│   ├── Busy            429, 502, 503, 504: also after the waits that were allowed
│   └── ServiceFault    other 5xx: a fault of the service or of what it stands on
├── Unreachable     nobody listens there
├── Interrupted     the connection was cut, and again when asked anew
├── Damaged         what came is not what was promised
└── NotHere         a library or a part that this needs is not installed, or no service starts
"""

from typing import Any


class ClientError(Exception):
    """Whatever a client cannot do."""


class Answered(ClientError):
    """The service answered with a problem, by RFC 9457."""

    def __init__(
        self, status: int, title: str, detail: str, retry_after_s: float | None = None, **more: Any
    ) -> None:
        self.status, self.title, self.detail = status, title, detail
        self.retry_after_s = retry_after_s
        self.type: str = more.get("type", "about:blank")
        self.errors: list[dict[str, str]] = more.get("errors", [])
        self.request_id: str | None = more.get("request_id")
        super().__init__(f"{title} ({status}): {detail}{self.what_to_do}")

    @property
    def what_to_do(self) -> str:
        """The end of the message: what a person can do, where the detail need not say it."""
        return ""


class InvalidRequest(Answered):
    """The question was wrong; `errors` has the places."""


class Unauthorised(Answered):
    """No key, or none that the service knows."""

    @property
    def what_to_do(self) -> str:
        """Where the key goes."""
        return '; give it as Client(url, key="..."), as --key or as GROKPROBE_CLIENT_KEY'


class NotFound(Answered):
    """No such run, step, label, group or resource."""


class Busy(Answered):
    """The service could not answer within the wait that was allowed."""

    @property
    def what_to_do(self) -> str:
        """How to wait for longer."""
        return "; ask again later, or wait for longer: Client(url, wait_s=...)"


class ServiceFault(Answered):
    """A fault of the service, or of what it stands on."""


class Unreachable(ClientError):
    """Nobody listens at the address."""


class Interrupted(ClientError):
    """The connection was cut or silent, and again when asked anew."""


class Damaged(ClientError):
    """What came is not what was promised: another digest, or another form."""


class NotHere(ClientError):
    """A library or a part that this needs is not installed here, or no service starts."""
