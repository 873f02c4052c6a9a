"""Which handler answers a path: what the framework will decide, asked before it does."""

from typing import Literal

from litestar import Litestar
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.routes import HTTPRoute
from litestar.utils import normalize_path

# Who is answered where the service has keys: those who have one, unless a route's `opt` says
# "anybody", or "by-setting" for what describes the service (GROKPROBE_OPEN_METRICS).
Access = Literal["anybody", "by-setting"]
ACCESS = "access"
ANYBODY: dict[str, Access] = {ACCESS: "anybody"}
BY_SETTING: dict[str, Access] = {ACCESS: "by-setting"}
# Whose answers the scripts of any page may read, whichever origins the service knows.
ANY_ORIGIN = {"any_origin": True}


class Routes:
    """The routes of an application, found by its own router: no spelling is read in two ways.

    `root` is the path that a proxy puts before them, empty where none does.
    """

    def __init__(self, app: Litestar, root: str) -> None:
        self.root = root
        self._find = app.asgi_router.handle_routing
        open_to_all = (
            route.path_format
            for route in app.routes
            if isinstance(route, HTTPRoute)
            and any(ANY_ORIGIN.items() <= h.opt.items() for h in route.route_handlers)
        )
        self._any_origin = {path.rpartition("/")[2] for path in open_to_all}

    def access(self, path: str, method: str) -> Access | None:
        """What the route says that answers; None for those who have a key, or where none does."""
        if ".." in path.split("/"):  # no route has it, and a file's is another path
            return None
        try:
            _, handler, *_ = self._find(path=normalize_path(path), method=method)
        except HTTPException:
            return None
        found: Access | None = handler.opt.get(ACCESS)
        return found

    def for_any_origin(self, path: str) -> bool:
        """Whether the scripts of any page may read what a path answers to GET."""
        if path.rstrip("/").rpartition("/")[2] not in self._any_origin:  # nearly all that is asked
            return False
        try:
            _, handler, *_ = self._find(path=normalize_path(path), method="GET")
        except HTTPException:
            return False
        return ANY_ORIGIN.items() <= handler.opt.items()

    def knows(self, path: str) -> bool:
        """Whether a path is one of the application, by whichever method."""
        try:
            self._find(path=normalize_path(path), method="GET")
        except MethodNotAllowedException:
            return True
        except HTTPException:
            return False
        return True
