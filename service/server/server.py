"""uvicorn as we run it: slow clients cut, and a stop that loses no request."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import uvicorn

from service.server.protocol import Protocol
from service.telemetry.requests import HTTPApp

DRAIN_S = 20  # requests in flight at a stop get this long
CLOSE_S = 5  # and what is still open then


class Server(uvicorn.Server):
    """uvicorn's, but before it closes its doors it finishes what is in flight.

    Until then it answers, so that readiness can be seen to be off and whoever still sends is
    served. `stop` is called when the stop is asked for. Connections on which nothing comes are
    closed after `keep_alive_s`.
    """

    def __init__(self, app: HTTPApp, stop: Callable[[], None], keep_alive_s: int) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, app),
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here depends on the client's address
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=CLOSE_S,
            )
        )
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: uvicorn's own, and a look after slow clients."""
        if counter % 10 == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Protocol):
                    connection.look(now)
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """Serve until a signal, and then as long as requests of before it are at work."""
        await super().main_loop()
        self._stop()
        in_flight, began = set(self.server_state.tasks), time.monotonic()
        while in_flight & self.server_state.tasks and time.monotonic() - began < DRAIN_S:
            if self.force_exit:  # a second Ctrl-C
                break
            await asyncio.sleep(0.05)
