"""Connections passed on, to whom somebody chooses, until somebody has them go silent."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Forwarder:
    """Listens and hands each connection to a port on this machine. It knows nothing of HTTP."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.carried = 0  # connections

    def target(self) -> int:
        """The port that gets the next connection."""
        return self.port

    async def work(self) -> None:
        """What is to be done besides, until it is cancelled."""

    @contextmanager
    def listening(self) -> Iterator[int]:
        """The port that it listens on; it runs in a thread of its own."""
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        try:
            yield asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def silence(self) -> None:
        """Take connections and what comes on them, and pass nothing on: as a stopped process."""
        self._loop.call_soon_threadsafe(self._speaks.clear)

    def speak(self) -> None:
        """Pass on what has waited, and all that comes."""
        self._loop.call_soon_threadsafe(self._speaks.set)

    async def _start(self) -> int:
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self._work = asyncio.create_task(self.work())
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.carried += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            inner = await asyncio.open_connection("127.0.0.1", self.target())
            await asyncio.gather(self._pass_on(reader, inner[1]), self._pass_on(inner[0], writer))
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._speaks.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
