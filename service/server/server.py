"""uvicorn as we run it: slow clients cut, and a stop that loses no request."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import uvicorn

from service.server.protocol import Protocol
from service.server.state import CLOSE, State
from service.telemetry.requests import HTTPApp

IN_FLIGHT_S = 20  # requests in flight at a stop get this long
CLOSE_S = 5  # and what is still open then
QUIET_S = 2.0  # nobody is connected, and for so long nobody has come: nobody knows us any more


class Server(uvicorn.Server):
    """uvicorn's, but before it closes its doors it finishes what is in flight.

    Until then it answers, so that readiness can be seen to be off and whoever still sends is
    served. `stop` is called when the stop is asked for. Connections on which nothing comes are
    closed after `keep_alive_s`.

    After SIGTERM clients are told to leave: each answer closes its connection, and a connection on
    which nobody asks stays open, up to `drain_s`, for a client that is about to. So none meets a
    closed door. Whoever stops it by Ctrl-C does not wait for that.
    """

    def __init__(
        self,
        app: HTTPApp,
        stop: Callable[[], None],
        keep_alive_s: int,
        drain_s: int = 0,
        unix_socket: str | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                cast(Any, app),
                http=Protocol,
                uds=unix_socket,
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
        self.server_state: State = State()
        self._stop, self._drain_s = stop, drain_s

    @property
    def _connections(self) -> Iterator[Protocol]:
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol):
                yield connection

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: uvicorn's own, and a look after slow clients."""
        if counter % 10 == 0:
            now = time.monotonic()
            for connection in self._connections:
                connection.look(now)
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        """Serve until a signal, and then as long as somebody is served who may lose a request."""
        await super().main_loop()
        self._stop()
        in_flight, began, ticks = set(self.server_state.tasks), time.monotonic(), 0
        drain_s = 0 if signal.SIGINT in self._captured_signals else self._drain_s
        if drain_s:
            self._tell_to_leave()
        while not self.force_exit:  # a second Ctrl-C
            passed = time.monotonic() - began
            is_busy = passed < IN_FLIGHT_S and in_flight & self.server_state.tasks
            if not is_busy and (passed >= drain_s or self._is_left(began)):
                return
            await asyncio.sleep(0.05)
            ticks += 1
            await self.on_tick(ticks)

    def _tell_to_leave(self) -> None:
        """Have every answer that has not begun close its connection, also those to come."""
        self.config.encoded_headers.append(CLOSE)
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        for connection in self._connections:
            connection.drain()

    def _is_left(self, since: float) -> bool:
        """Whether all clients are gone, and no other has come for a while."""
        quiet_since = max(since, self.server_state.last_came)
        gone = not self.server_state.connections
        return gone and time.monotonic() - quiet_since >= QUIET_S
