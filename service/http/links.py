"""URLs that leave: a path below the configured root, without a host, whatever a request says.

Behind a proxy the service does not know by which host and scheme it is reached; a reference without
them is right for all, if it begins with the path that the proxy puts before ours.
"""

import re
from urllib.parse import quote

from litestar.types import Scope

from service.telemetry.requests import state_of

SLASHES = re.compile("//+")
PLAIN = "/~!$&'()*+,;=:@"  # what may stand in a path beside letters and digits (RFC 3986)


def link(scope: Scope, path: str, query: str = "") -> str:
    """The reference to a path of the service, as its clients reach it.

    `path` is decoded, `query` as it stands in URLs. Two slashes would begin a host.
    """
    text = state_of(scope).root + quote(SLASHES.sub("/", path), safe=PLAIN)
    return f"{text}?{query}" if query else text
