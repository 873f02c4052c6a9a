"""The page at `/`, its files and `/llms.txt`: they hold nothing of a run and are for everybody.

What the page shows it asks the API for, with the key of whoever looks at it. Its URLs are relative:
it works behind a proxy that nobody told us of. A proxy's path without its last slash is no folder
in a browser's eyes; so where the path is known, the page names its files by it.
"""

import re
from pathlib import Path
from typing import NamedTuple

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from grokprobe.settings import Settings
from service.http.asgi import AnyRequest, AnyResponse
from service.http.caching import named, strong_tag
from service.http.preconditions import NotModified
from service.http.routing import ANYBODY
from service.telemetry.requests import header

FOLDER = Path(__file__).parent / "static" / "explorer"
LLMS = Path(__file__).parent / "static" / "llms.txt"
PAGE = "index.html"
PLACES = {PAGE: "/", LLMS.name: f"/{LLMS.name}"}
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".txt": "text/plain",
}
# A reference within the service, which names no scheme, host, whole path or place in the page.
RELATIVE = re.compile(rb'(?<=\s)(src|href)="(?![a-z]+:|[/#])')
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)


class File(NamedTuple):
    """A file of the page as it is sent."""

    body: bytes
    media_type: str
    tag: str


def explorer(settings: Settings) -> HTTPRouteHandler:
    """The route of the page, its files and `/llms.txt`, which are read here once."""
    files = dict(_read(path, settings.root_path) for path in (*FOLDER.iterdir(), LLMS))
    headers = {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY + settings.ancestors,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    @get([*files], include_in_schema=False, opt=ANYBODY)
    async def explore(request: AnyRequest) -> AnyResponse:
        """One of the files; 304 to whoever has it."""
        found = files[request.scope["path_template"]]
        known = named(header(request.scope, b"if-none-match"), found.tag)
        if known:
            return NotModified({**headers, "ETag": known})
        tagged = {**headers, "ETag": found.tag}
        return Response(found.body, media_type=found.media_type, headers=tagged)

    return explore


def _read(path: Path, root: str) -> tuple[str, File]:
    """Where a file of the page lies below the root, and the file."""
    body = path.read_bytes()
    is_page = path.name == PAGE
    if is_page and root:
        body = RELATIVE.sub(rb'\1="' + f"{root}/".encode(), body)
    place = PLACES.get(path.name, f"/static/explorer/{path.name}")
    return place, File(body, TYPES[path.suffix], strong_tag(body))
