"""What is answered to what is no request."""

from http import HTTPStatus

from service.http.problems import MEDIA_TYPE, unnamed_problem


class Refusal(Exception):
    """What has come is no request that can be answered: a status and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def refusal(status: int, detail: str, name: str) -> bytes:
    """The answer to what is no request: head and body."""
    body = unnamed_problem(status, detail, name)
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {MEDIA_TYPE}",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        f"x-request-id: {name}",
        "connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + body
