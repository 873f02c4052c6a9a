"""Cross-origin requests: which pages of other sites may read answers."""

from litestar.types import HTTPScope, Message, Receive, Send

from service.http.asgi import NO_BODY
from service.http.routing import Routes
from service.telemetry.requests import HTTPApp, state_of

SHOWN_TO_SCRIPTS = (
    b"Accept-Ranges, Content-Location, Content-Range, ETag, Link, Retry-After, Server-Timing, "
    b"X-Request-ID"
)
PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-max-age", b"7200"),
]
ALL = frozenset("*")


def cross_origin(app: HTTPApp, origins: frozenset[str], routes: Routes | None = None) -> HTTPApp:
    """`app` for the scripts of pages from these origins, or from all for `*`.

    Some routes are for all in any case. The answer to a preflight is given here: it carries no key.
    The framework's own layer overwrites Vary.
    """

    async def crossed(scope: HTTPScope, receive: Receive, send: Send) -> None:
        allowed = ALL if routes and routes.for_any_origin(scope["path"]) else origins
        if not allowed:
            return await app(scope, receive, send)
        given = state_of(scope).headers
        headers = _allowing(given.get(b"origin", b""), allowed)
        if b"access-control-request-method" in given and scope["method"] == "OPTIONS":
            return await _preflight(send, headers, given)

        async def allow(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        return await app(scope, receive, allow)

    return crossed


def _allowing(origin: bytes, origins: frozenset[str]) -> list[tuple[bytes, bytes]]:
    exposed = (b"access-control-expose-headers", SHOWN_TO_SCRIPTS)
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*"), exposed]
    vary = (b"vary", b"Origin")
    if origin.decode("latin-1") not in origins:
        return [vary]
    return [vary, (b"access-control-allow-origin", origin), exposed]


async def _preflight(
    send: Send, headers: list[tuple[bytes, bytes]], given: dict[bytes, bytes]
) -> None:
    wanted = given.get(b"access-control-request-headers", b"")
    allowed = [*PREFLIGHT, (b"access-control-allow-headers", wanted)]
    whole = [*headers, *allowed]
    await send({"type": "http.response.start", "status": 204, "headers": whole})
    await send(NO_BODY)
