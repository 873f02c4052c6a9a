"""`python -m service`: serve until SIGTERM or Ctrl-C."""

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import uvloop

from grokprobe.cpus import allowed_cpus
from grokprobe.errors import GrokprobeError, SettingError
from grokprobe.settings import Settings, read_settings
from grokprobe.store.backends import open_backends
from service.app import create_app, create_context
from service.inference.runtime import start_runtime
from service.middleware.auth import open_keys
from service.server.server import Server
from service.telemetry.logs import configure_logs
from service.telemetry.tracing import tracing

logger = logging.getLogger("grokprobe.service")

SILENCE_S = 60  # of a client that has something to read or to acknowledge

SIGNALS = (signal.SIGTERM, signal.SIGINT)
stopping: list[int] = []  # signals that came when there was no server


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises SettingError if the address cannot be had."""
    address = (settings.host, settings.port)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        what = f"cannot listen on {settings.host}:{settings.port}"
        reason = (error.strerror or str(error)).lower()
        if taken:
            advice = "stop what listens there or choose another port"
            raise SettingError("GROKPROBE_PORT", f"{what} ({reason}); {advice}") from None
        raise SettingError("GROKPROBE_HOST", f"{what} ({reason}); it is no address here") from None
    # Inherited by every connection: a client that neither reads nor answers is cut.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)
    return listener


def allow_open_files() -> None:
    """As many as the system lets us have: each listener to events is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(settings: Settings) -> None:
    """Open the backends, serve, and close them again."""
    keys = open_keys(settings)
    # asyncio's own default counts the CPUs of the machine; more than ours, as in Inference.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(allowed_cpus() + 4))
    with bind(settings) as listener, tracing(settings.tracing) as layer:
        async with open_backends(settings) as backends:
            context = create_context(settings, backends, start_runtime())
            app = layer(create_app(context, keys))
            server = Server(app, context.stop, settings.keep_alive_s)
            # Now: one that comes before the server has begun stops it then.
            for signum in SIGNALS:
                signal.signal(signum, server.handle_exit)
            if stopping:
                return
            # What is here now stays: no collection need look at it again. Requests leave no cycles:
            # looking for them after every 700 objects found none and took a thirtieth of the time.
            gc.freeze()
            gc.set_threshold(10_000)
            async with context.feed.following():
                logger.info("serving on http://%s:%d", settings.host, listener.getsockname()[1])
                await server.serve(sockets=[listener])


def _note(signum: int, _frame: object) -> None:
    """A signal before there is a server."""
    stopping.append(signum)


def main() -> int:
    """Exit code 0 after a graceful stop, 2 for a problem that a person can solve."""
    for signum in SIGNALS:
        signal.signal(signum, _note)
    try:
        settings = read_settings()
        configure_logs(settings.log_format)
        allow_open_files()
        uvloop.run(serve(settings))
    except GrokprobeError as error:
        print(f"error: {error.told}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
