"""What the head of a request must be, beyond what the parser (llhttp) asks of it.

llhttp refuses what RFC 9112 calls invalid within header lines and lengths: bare CR or LF, folded
lines, spaces before the colon, a Content-Length that comes twice or beside a Transfer-Encoding. It
takes request lines of other protocols, spaces between their words, and whatever Host there is.
"""

import re

from service.server.refusals import Refusal

HEAD_BYTES = 65_536
HEADERS = 256  # lines

EMPTY_LINES = re.compile(rb"(?:\r\n)*")
VERSIONS = (b" HTTP/1.1", b" HTTP/1.0")
# host [":" port] of RFC 3986: an address in brackets, or a name, which may be empty.
HOST = re.compile(
    rb"(\[[\w:.%~!$&'()*+,;=-]+\]|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?", re.ASCII
)
Fields = list[tuple[bytes, bytes]]  # lines of a head: names in small letters, values


def empty_lines(data: bytes, at: int) -> int:
    """Bytes of empty lines that begin there, which go before a head (RFC 9112, section 2.2).

    0 for half of one. Raises Refusal.
    """
    size = EMPTY_LINES.match(data, at).end() - at  # type: ignore[union-attr]
    if size or data[at:] == b"\r":
        return size
    raise Refusal(400, "a CR or LF stands alone before the request line")


def check_line(head: bytes) -> None:
    """Check the request line of a head, whose words the parser looks at. Raises Refusal."""
    end, words = head.find(b"\r"), 3
    if head.endswith(VERSIONS, 0, end) and head.count(b" ", 0, end) == words - 1:
        if head.startswith(b"CONNECT"):
            raise Refusal(501, "CONNECT is for proxies, and this is none")
    elif len(line := head[:end].split(b" ")) == words and line[-1].startswith(b"HTTP/"):
        raise Refusal(505, "another version of HTTP is not spoken here: send HTTP/1.1 or 1.0")
    else:
        raise Refusal(400, "the request line is not METHOD TARGET HTTP/1.1, one space between each")


def check_fields(fields: Fields, found: dict[bytes, bytes], version: str) -> None:
    """Check the lines of a head, and the same by name. Raises Refusal."""
    if len(fields) > HEADERS:
        raise Refusal(431, f"the head of the request has more than {HEADERS} lines")
    if len(found) < len(fields):
        names = [name for name, _ in fields]
        for once in (b"host", b"transfer-encoding"):
            if names.count(once) > 1:
                raise Refusal(400, f"there are several {once.decode().title()} headers")
    if b"host" not in found and version != "1.0":
        raise Refusal(400, "there is no Host header")
    if not HOST.fullmatch(found.get(b"host", b"")):
        raise Refusal(400, "the Host header is not HOST or HOST:PORT")
    if b"transfer-encoding" in found:
        if version == "1.0":
            raise Refusal(400, "HTTP/1.0 has no Transfer-Encoding: send a Content-Length")
        if found[b"transfer-encoding"].lower() != b"chunked":
            raise Refusal(501, "the only Transfer-Encoding that is read here is chunked")
