"""Which handler answers a path: what the framework will decide, asked before it does."""

from typing import Literal

from litestar import Litestar
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.utils import normalize_path

# Who is answered where the service has keys: those who have one, unless a route's `opt` says
# "anybody", or "by-setting" for what describes the service (GROKPROBE_OPEN_METRICS).
Access = Literal["anybody", "by-setting"]
ACCESS = "access"
ANYBODY: dict[str, Access] = {ACCESS: "anybody"}
BY_SETTING: dict[str, Access] = {ACCESS: "by-setting"}


class Routes:
    """The routes of an application, found by its own router: no spelling is read in two ways.

    `root` is the path that a proxy puts before them, empty where none does.
    """

    def __init__(self, app: Litestar, root: str) -> None:
        self.root = root
        self._find = app.asgi_router.handle_routing

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

    def knows(self, path: str) -> bool:
        """Whether a path is one of the application, by whichever method."""
        try:
            self._find(path=normalize_path(path), method="GET")
        except MethodNotAllowedException:
            return True
        except HTTPException:
            return False
        return True
