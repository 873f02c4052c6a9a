"""Streams of HTTP requests, sound and broken, made from a seed, and h11's reading of them."""

import random
import re
from dataclasses import dataclass

import h11

EARLY = b"/early"  # answered before its body is read
TARGETS = (b"/", b"/a?b=c&d", b"/%20x;y", b"//x", b"http://h/y?z", b"/v1/runs", EARLY, EARLY)
METHODS = (b"GET", b"GET", b"POST", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH")
UPGRADES = (b"h2c", b"websocket", b"TLS/1.0", b"h2c, websocket", b"HTTP/2.0,  IRC/6.9", b"")
NAMES = (b"Accept", b"ACCEPT", b"x-y", b"Authorization", b"X_!#$%&'*+.^`|~", b"Cookie", b"TE")
VALUES = (b"", b"*/*; q=.2", b"a\tb  c", b"\xe9\xff", b'"a, b"', b"x" * 60, b"a:b", b"chunked")
SPACES = (b" ", b"", b"  ", b"\t", b" \t ")
HIDDEN = (
    b"GET /v1/runs HTTP/1.1\r\nHost: x\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\n\r\nPOST / HTTP/1.1\r\n",
    b"\x16\x03\x01\x00",
    b"",
)
EXTENSIONS = (b"", b"", b";a", b";a=b", b';a="b c"', b";a;b=c")
TRAILERS = (b"", b"", b"Digest: x\r\n", b"Authorization: Bearer y\r\nHost: z\r\n")
# Each is a whole request line, or header lines, or a body in chunks, that some server has taken.
BAD_LINES = (
    b"GET  / HTTP/1.1\r\n",
    b"GET /  HTTP/1.1\r\n",
    b"GET\t/ HTTP/1.1\r\n",
    b" GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1 \r\n",
    b"GET / HTTP/1.1\n",
    b"GET / HTTP/1.1\r\r\n",
    b"\nGET / HTTP/1.1\r\n",
    b"\rGET / HTTP/1.1\r\n",
    b"GET / http/1.1\r\n",
    b"GET / HTTP/0.9\r\n",
    b"GET / HTTP/1.2\r\n",
    b"GET / HTTP/2.0\r\n",
    b"GET / HTTP/11\r\n",
    b"GET / RTSP/1.0\r\n",
    b"SOURCE / ICE/1.0\r\n",
    b"GET /\r\n",
    b"GET / \r\n",
    b"GET\r\n",
    b"GET /\x00 HTTP/1.1\r\n",
    b"GET /\xff HTTP/1.1\r\n",
    b"GET /?\xff HTTP/1.1\r\n",
    b"GET /\x7f HTTP/1.1\r\n",
    b"GET nowhere HTTP/1.1\r\n",
    b"GET * HTTP/1.1\r\n",
    b"GET http:// HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT h:443 HTTP/1.1\r\n",
    b"CONNECT / HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"UNHEARD / HTTP/1.1\r\n",
    b"get / HTTP/1.1\r\n",
    b"G(T / HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\n \r\n",
)
BAD_HEADERS = (
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    b"Content-Length: 3\r\nContent-Length: 4\r\n",
    b"Content-Length: 3, 4\r\n",
    b"Content-Length: 3 4\r\n",
    b"Content-Length: +3\r\n",
    b"Content-Length: -3\r\n",
    b"Content-Length: 0x3\r\n",
    b"Content-Length: 3_0\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: \xb2\r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Content-Length : 3\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked;a=b\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Transfer-Encoding\x00: chunked\r\n",
    b"Upgrade: h2c\r\n folded\r\n",
    b"Upgrade: \x01\r\n",
    b"Upgrade : h2c\r\n",
    b"Upgrade: h2c\n",
    b"\nUpgrade: h2c\r\n",
    b"a: b\r\n c\r\n",
    b" a: b\r\n",
    b"\t\r\n",
    b"a : b\r\n",
    b"a\t: b\r\n",
    b"a b: c\r\n",
    b"a: b\n",
    b"a: b\rc: d\r\n",
    b"a: \x00\r\n",
    b"a: \x0b\r\n",
    b"a: \x7f\r\n",
    b"a\r\n",
    b": b\r\n",
    b"\xe9: b\r\n",
    b"Host: other\r\n",
    b"Host: other\r\nhost: another\r\n",
)
BAD_CHUNKS = (
    b"g\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b" 3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"3_0\r\nabc\r\n0\r\n\r\n",
    b"\r\nabc\r\n0\r\n\r\n",
    b"3\nabc\r\n0\r\n\r\n",
    b"3\rabc\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"3\r\nabcX\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc\r\n0\r\na b: c\r\n\r\n",
    b"3\r\nabc\r\n0\r\n a: c\r\n\r\n",
    b"3\r\nabc\r\n0\r\na: c\n\r\n",
    b"3;\x00\r\nabc\r\n0\r\n\r\n",
    b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    b'3;a="\r\nabc\r\n0\r\n\r\n',
    b"11111111111111111\r\nabc\r\n0\r\n\r\n",
    b"100000000000000000000003\r\nabc\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
)
EMPTY_LINES = re.compile(rb"(?:\r\n)*")


@dataclass
class Message:
    """A request in parts, so that one of them can be broken."""

    line: bytes
    headers: list[bytes]
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return b"".join([self.line, *self.headers, b"\r\n", self.body])


@dataclass(frozen=True)
class Seen:
    """A request as a parser saw it; the body of an early answer is nobody's."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes | None


def header(rng: random.Random, name: bytes, value: bytes) -> bytes:
    """A line in one of the ways in which it may be written."""
    name = rng.choice((name, name.lower(), name.upper()))
    after = rng.choice((b"", b"", b" ", b"\t "))
    return name + b":" + rng.choice(SPACES) + value + after + b"\r\n"


def content(rng: random.Random) -> bytes:
    """A body, often one that looks like something else."""
    return rng.choice(HIDDEN) + rng.randbytes(rng.choice((0, 1, 20, 60))) + rng.choice(HIDDEN)


def in_chunks(rng: random.Random, body: bytes) -> bytes:
    """A body in chunks of any size."""
    parts = []
    while body:
        part = body[: rng.randint(1, len(body))]
        body = body[len(part) :]
        size = rng.choice((b"%x", b"%X", b"00%x")) % len(part)
        parts.append(size + rng.choice(EXTENSIONS) + b"\r\n" + part + b"\r\n")
    end = rng.choice((b"0", b"000")) + rng.choice(EXTENSIONS)
    return b"".join(parts) + end + b"\r\n" + rng.choice(TRAILERS) + b"\r\n"


def sound_message(rng: random.Random) -> Message:
    """A request that must be answered."""
    method, target = rng.choice(METHODS), rng.choice(TARGETS)
    version = b"1.0" if rng.random() < 0.04 else b"1.1"
    lines = [header(rng, b"Host", rng.choice((b"x", b"h:80", b"[::1]", b"")))]
    lines += [header(rng, rng.choice(NAMES), rng.choice(VALUES)) for _ in range(rng.randint(0, 4))]
    connection = [b"close"] if rng.random() < 0.04 else []
    if rng.random() < 0.4:
        connection += [rng.choice((b"Upgrade", b"upgrade")), b"HTTP2-Settings"]
        count = rng.choice((1, 1, 2))
        lines += [header(rng, b"Upgrade", rng.choice(UPGRADES)) for _ in range(count)]
        lines.append(header(rng, b"HTTP2-Settings", b"AAMAAABkAAQCAAAAAAIAAAAA"))
    if connection:
        lines.append(header(rng, b"Connection", b", ".join(connection)))
    body, kind = content(rng), rng.random()
    if kind < 0.4 and version == b"1.1":
        line = header(rng, b"Transfer-Encoding", rng.choice((b"chunked", b"Chunked")))
        lines.append(line.replace(b"\t \r", b"\r"))  # llhttp takes no tab there
        body = in_chunks(rng, body)
    elif kind < 0.8:
        lines.append(header(rng, b"Content-Length", rng.choice((b"%d", b"00%d")) % len(body)))
    else:
        body = b""
    rng.shuffle(lines)
    return Message(method + b" " + target + b" HTTP/" + version + b"\r\n", lines, body)


def broken_message(rng: random.Random) -> bytes:
    """A request with one fault."""
    message, kind = sound_message(rng), rng.random()
    if kind < 0.2:
        message.line = rng.choice(BAD_LINES)
    elif kind < 0.4:
        message.headers.insert(rng.randint(0, len(message.headers)), rng.choice(BAD_HEADERS))
    elif kind < 0.5:
        message = Message(b"POST / HTTP/1.1\r\n", [b"Host: x\r\n"], rng.choice(BAD_CHUNKS))
        message.headers.append(b"Transfer-Encoding: chunked\r\n")
    elif kind < 0.6:
        message.headers = [line for line in message.headers if line[:4].lower() != b"host"]
    else:
        return mutated(rng, bytes(message))
    return bytes(message)


def mutated(rng: random.Random, text: bytes) -> bytes:
    """With one or two places cut out, doubled, or overwritten."""
    for _ in range(rng.choice((1, 1, 2))):
        at, count = rng.randrange(len(text) + 1), rng.choice((1, 1, 2, 5))
        new = rng.choice((b"", text[at : at + count] * 2, rng.choice(b"\r\n \t:;,0x\0").to_bytes()))
        text = text[:at] + new + text[at + count :]
    return text


def stream(rng: random.Random) -> tuple[bytes, bool]:
    """Requests one after the other, and whether nothing is wrong with them."""
    messages = [bytes(sound_message(rng)) for _ in range(rng.randint(1, 4))]
    if is_sound := rng.random() < 0.4:
        messages.insert(rng.randint(0, 1), rng.choice((b"", b"\r\n", b"\r\n\r\n")))
    else:
        messages.insert(rng.randint(0, len(messages)), broken_message(rng))
    return b"".join(messages), is_sound


def parts(rng: random.Random, text: bytes) -> list[bytes]:
    """A stream as it may arrive: whole, byte by byte, or cut anywhere."""
    kind = rng.random()
    if kind < 0.3:
        return [text]
    if kind < 0.6:
        return [text[i : i + 1] for i in range(len(text))]
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randint(1, 8)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]


def reference(text: bytes) -> tuple[list[Seen], bool]:
    """The requests that h11 sees whole, and whether it refuses what follows them.

    It is given what follows one request anew, without the empty lines that may stand there (RFC
    9112, section 2.2), at which it stops.
    """
    found: list[Seen] = []
    while True:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
        text = EMPTY_LINES.sub(b"", text, count=1)
        if text == b"\r":  # half of another
            return found, False
        connection.receive_data(text)
        try:
            request = connection.next_event()
            if not isinstance(request, h11.Request):
                return found, False
            path = request.target.partition(b"//h")[2] or request.target
            seen = Seen(request.method, path, list(request.headers), b"")
            if path == EARLY:
                found.append(Seen(seen.method, path, seen.headers, None))
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            return found, True
        if not isinstance(event, h11.EndOfMessage):
            return found, False
        if path != EARLY:
            found.append(Seen(seen.method, path, seen.headers, body))
        connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        if request.method == b"CONNECT":
            return found, False
        connection.send(h11.EndOfMessage())
        if connection.our_state is h11.MUST_CLOSE:
            return found, False
        text = connection.trailing_data[0]
