"""`python -m service`: answer over HTTP for every published checkpoint, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, suppress
from importlib.metadata import version
from typing import Any

import msgspec

from grokprobe.addresses import listen
from grokprobe.errors import GrokprobeError
from grokprobe.machine.cpus import allowed_cpus
from grokprobe.runtimes import check_runtime
from grokprobe.settings import Settings, read_settings, variable
from grokprobe.store.archive.opening import READING
from grokprobe.store.backends import open_backends
from service.app import create_app, create_context
from service.inference.runtime import start_runtime
from service.middleware.auth import open_keys
from service.runs.reconciling import reconciling
from service.server.server import Server
from service.telemetry.logs import configure_logs
from service.telemetry.tracing import tracing

logger = logging.getLogger("grokprobe.service")

BACKLOG = 2048  # connections that wait to be taken
SILENCE_S = 60  # of a client that has something to read or to acknowledge

OPEN_FILES = 10_240  # as many as macOS allows where it says that there is no limit

SIGNALS = (signal.SIGTERM, signal.SIGINT)
stopping: list[int] = []  # signals that came when there was no server


def bind(settings: Settings) -> list[socket.socket]:
    """The listening sockets. Raises SettingError if an address cannot be had."""
    listeners = listen(settings.host, settings.port, variable("port"), BACKLOG)
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):  # Linux alone has it
        for listener in listeners:
            # Inherited by every connection: a client that neither reads nor answers is cut.
            listener.setsockopt(socket.IPPROTO_TCP, option, SILENCE_S * 1000)
    return listeners


def allow_open_files() -> None:
    """As many as the system lets us have: each listener to events is one."""
    with suppress(ImportError):  # not of every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        except (ValueError, OSError):  # the kernel has a limit of its own
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, most))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Do work in the faster loop, where it is there for this system, else in Python's own."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


async def serve(settings: Settings, unix_socket: str | None = None) -> None:
    """Open the backends, serve, and close them again; on a Unix socket if one is named."""
    keys = open_keys(settings)
    # asyncio's own default counts the CPUs of the machine; more than ours, as in Inference.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(allowed_cpus() + 4))
    with ExitStack() as opened:
        listeners = [
            opened.enter_context(listener) for listener in ([] if unix_socket else bind(settings))
        ]
        layer = opened.enter_context(tracing(settings.tracing))
        async with open_backends(settings, READING) as backends:
            context = create_context(settings, backends, start_runtime())
            app = layer(create_app(context, keys))
            server = Server(app, context.stop, settings.keep_alive_s, settings.drain_s, unix_socket)
            # Now: one that comes before the server has begun stops it then.
            for signum in SIGNALS:
                signal.signal(signum, server.handle_exit)
            if stopping:
                return
            # What is here now stays: no collection need look at it again. Requests leave no cycles:
            # looking for them after every 700 objects found none and took a thirtieth of the time.
            gc.freeze()
            gc.set_threshold(10_000)
            async with (
                context.feed.following(),
                reconciling(context.reconciler),
                aclosing(context.renderer),
            ):
                logger.info("serving on %s", unix_socket or settings.url)
                await server.serve(sockets=listeners or None)


def _note(signum: int, _frame: object) -> None:
    """A signal before there is a server."""
    stopping.append(signum)


def _stop_at_end_of_input() -> None:
    """Stop when standard input ends: whoever started us has."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def parse_arguments(arguments: Sequence[str] | None) -> str | None:
    """The Unix socket, which alone can be given; argparse exits with status 2 for any other."""
    defaults = (
        f"  {variable(name)}={value}" for name, value in msgspec.structs.asdict(Settings()).items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description=__doc__,
        epilog="\n".join(
            ["settings, from the environment (docs/operations.md), and their defaults:", *defaults]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"grokprobe {version('grokprobe')}")
    parser.add_argument(
        "--socket",
        metavar="PATH",
        help="listen on this Unix socket alone, and stop when standard input ends",
    )
    found, others = parser.parse_known_args(arguments)
    if others:
        given = " ".join(others)
        parser.error(f"takes no other arguments, got {given!r}: settings come from the environment")
    unix_socket: str | None = found.socket
    return unix_socket


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after a graceful stop, 2 for a problem that a person can solve."""
    unix_socket = parse_arguments(arguments)
    for signum in SIGNALS:
        signal.signal(signum, _note)
    try:
        settings = read_settings()
        check_runtime("service")
        configure_logs(settings.log_format)
        allow_open_files()
        if unix_socket:
            threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
        run(serve(settings, unix_socket))
    except GrokprobeError as error:
        print(f"error: {error.told}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
