"""Pictures from Vega-Lite, by one warm process beside the service (`program.py`).

It starts at the first picture and draws one at a time. It is bounded in time, in memory and in how
many wait for it; what it takes beyond its bounds ends it, and the next picture starts another.
"""

import asyncio
import logging
import mmap
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from service.errors import Overloaded, PictureLost, PictureTooLarge, Stopping
from service.rendering.program import DRAWN, HEAD, LENGTH, REFUSED
from service.telemetry.metrics import Metrics

logger = logging.getLogger("grokprobe.service")

PACKAGE = "vl_convert"
PROGRAM = Path(__file__).with_name("program.py")
TIME_S = 30.0  # of one picture, with the start of its process, on a machine that has much to do
LOOK_S = 0.05  # how often its memory is looked at meanwhile
MOST_WAITING = 32  # pictures, the one being drawn among them
RETRY_AFTER_S = 5

Reason = Literal["died", "memory", "time"]


class Work(NamedTuple):
    """A specification and what is wanted of it; `width` in pixels comes before `scale`."""

    spec: dict[str, Any]
    format: str
    scale: float = 1.0
    width: int | None = None


def site_packages() -> Path | None:
    """Where the package that draws is installed; None where it is not."""
    found = find_spec(PACKAGE)
    return Path(found.origin).parents[1] if found and found.origin else None


def resident_bytes(process: int) -> int:
    """The memory that a process holds; 0 where nobody knows."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        return pages * mmap.PAGESIZE
    return 0


class Renderer:
    """The owner of the process; `draw` is what there is to ask of it."""

    def __init__(self, metrics: Metrics, memory_bytes: int, wanted: bool = True) -> None:
        """`wanted` is what the settings say; nothing is started here."""
        self._metrics, self._memory_bytes = metrics, memory_bytes
        self._packages = site_packages() if wanted else None
        # What draws, for the ETags of pictures; empty where nothing does. Looked up here, once.
        self.version = version("vl-convert-python") if self.is_there else ""
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._closed = False
        metrics.pictures_waiting.set_function(lambda: self._waiting)

    @property
    def is_there(self) -> bool:
        """Whether pictures can be drawn: it is installed, and not turned off."""
        return self._packages is not None

    @property
    def process(self) -> int | None:
        """The number of the process, where one runs."""
        found = self._process
        return found.pid if found and found.returncode is None else None

    async def draw(self, work: Work) -> bytes:
        """The picture. Raises Overloaded, PictureLost, PictureTooLarge, Stopping."""
        if self._waiting >= MOST_WAITING:
            self._metrics.refusals.inc("pictures")
            raise Overloaded(self._waiting, RETRY_AFTER_S, "pictures")
        self._waiting += 1
        try:
            async with self._turn:
                started = time.perf_counter()
                kind, body = await self._ask(msgspec.json.encode(work._asdict()))
                self._metrics.picture_seconds.observe(time.perf_counter() - started)
        finally:
            self._waiting -= 1
        if kind == DRAWN:
            return body
        if kind == REFUSED:
            raise PictureTooLarge(body.decode())
        raise RuntimeError(f"the renderer does not understand a chart: {body.decode()}")

    async def aclose(self) -> None:
        """End the process; no other is started."""
        self._closed = True
        await self._end()

    async def _ask(self, message: bytes) -> tuple[bytes, bytes]:
        """What the process answers, in time and within its memory. Raises PictureLost."""
        process = await self._running()
        asked = asyncio.create_task(_exchange(process, message))
        try:
            reason = await self._watch(process, asked)
            answer = await asked
        except (asyncio.IncompleteReadError, ConnectionError):
            await self._end()
            raise self._lost(reason, process.returncode) from None
        except BaseException:  # nobody will read the rest of its answer
            asked.cancel()
            await self._end()
            raise
        if resident_bytes(process.pid) > self._memory_bytes:
            await self._end()
        return answer

    async def _watch(
        self, process: asyncio.subprocess.Process, asked: "asyncio.Task[Any]"
    ) -> Reason:
        """Wait for the answer, or end the process that takes too much; why it then has none."""
        until = time.monotonic() + TIME_S
        while not (await asyncio.wait({asked}, timeout=LOOK_S))[0]:
            late = time.monotonic() > until
            if late or resident_bytes(process.pid) > self._memory_bytes:
                _kill(process)
                return "time" if late else "memory"
        return "died"

    async def _running(self) -> asyncio.subprocess.Process:
        """The process, started unless it runs. Raises Stopping."""
        if self._closed or self._packages is None:
            raise Stopping("the service stops: no picture is drawn any more")
        if self._process is None or _has_ended(self._process):
            await self._end()
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(PROGRAM), str(self._packages)),
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
            )
        return self._process

    async def _end(self) -> None:
        if process := self._process:
            self._process = None
            _kill(process)
            await process.wait()

    def _lost(self, reason: Reason, status: int | None) -> PictureLost:
        self._metrics.renderer_restarts.inc(reason)
        told = {
            "died": "the renderer ended",
            "memory": f"drawing took more than {self._memory_bytes >> 20} MiB of memory "
            "(GROKPROBE_RENDERER_MEMORY_BYTES)",
            "time": f"drawing took longer than {TIME_S:g} s",
        }[reason]
        logger.warning("a picture was lost: %s (status %s)", told, status)
        return PictureLost(told)


def _has_ended(process: asyncio.subprocess.Process) -> bool:
    """Whether it will answer no more; its output ends before the loop is told of its death."""
    return process.returncode is not None or (
        process.stdout is not None and process.stdout.at_eof()
    )


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


async def _exchange(process: asyncio.subprocess.Process, message: bytes) -> tuple[bytes, bytes]:
    """Send a message and read the answer to it: what it is, and its bytes."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(LENGTH.pack(len(message)) + message)
    await process.stdin.drain()
    kind, length = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
    return kind, await process.stdout.readexactly(length)
