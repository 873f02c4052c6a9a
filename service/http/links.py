"""URLs that leave: a path below the configured root, without a host, whatever a request says.

Behind a proxy the service does not know by which host and scheme it is reached; a reference without
them is right for all, if it begins with the path that the proxy puts before ours.

A page of another host that reads addresses from an answer needs whole ones: who asks knows where
the service is, and says it (`base`). Else it is where the request went, by its own Host and by no
header of a proxy; such an answer is not kept unasked, for another may come by another name.
"""

import re
from urllib.parse import quote

from litestar.types import Scope

from grokprobe.errors import InvalidInput
from grokprobe.settings import ROOT_PATH
from service.telemetry.requests import header, state_of

SLASHES = re.compile("//+")
PLAIN = "/~!$&'()*+,;=:@"  # what may stand in a path beside letters and digits (RFC 3986)
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


def link(scope: Scope, path: str, query: str = "") -> str:
    """The reference to a path of the service, as its clients reach it.

    `path` is decoded, `query` as it stands in URLs. Two slashes would begin a host.
    """
    text = state_of(scope).root + _written(path)
    return f"{text}?{query}" if query else text


def absolute(scope: Scope, path: str, query: str, base: str | None) -> str:
    """The whole address of a path: below `base`, or where the request went.

    Raises InvalidInput where neither says a host.
    """
    if base is not None:
        return f"{base.rstrip('/')}{_written(path)}?{query}"
    host = header(scope, b"host")
    if not HOST.fullmatch(host):
        raise InvalidInput("base", f"is missing, and the request's Host {host[:80]!r} is no host")
    return f"{scope['scheme']}://{host}{link(scope, path, query)}"


def check_base(base: str | None) -> None:
    """Raise InvalidInput unless an address is http(s)://HOST[:PORT][/PATH]."""
    if base is None:
        return
    scheme, _, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    below = ROOT_PATH.fullmatch(slash + path) or not path
    if scheme not in ("http", "https") or not HOST.fullmatch(host) or not below:
        raise InvalidInput("base", f"expected such as https://lab.example/probe, got {base[:80]!r}")


def _written(path: str) -> str:
    return quote(SLASHES.sub("/", path), safe=PLAIN)
