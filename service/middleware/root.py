"""The path that a proxy puts before ours: clients see it, requests come with it or without."""

from urllib.parse import unquote

from litestar.types import HTTPScope, Receive, Send

from service.http.routing import Routes
from service.telemetry.requests import HTTPApp, state_of


def rooted(app: HTTPApp, routes: Routes) -> HTTPApp:
    """`app` whose URLs begin with a root, whether the proxy takes it from requests or leaves it.

    A path of our own that begins like the root is our own: the proxy has taken the root away.
    """
    if not routes.root:
        return app
    plain = unquote(routes.root)  # as the server has paths

    async def below(scope: HTTPScope, receive: Receive, send: Send) -> None:
        state_of(scope).root = routes.root
        path = scope["path"]
        if f"{path}/".startswith(f"{plain}/") and not routes.knows(path):
            scope["path"] = path.removeprefix(plain) or "/"
        await app(scope, receive, send)

    return below
