"""`grokprobe mcp`: tools for assistant programs."""

import os
import re
import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from grokprobe.addresses import http_url, is_loopback, listen
from grokprobe.cli.reading.connecting import asking, opened_async
from grokprobe.errors import InvalidInput

if TYPE_CHECKING:
    from grokprobe import AsyncClient

WAIT_S = 20  # for a service that is busy or away: an assistant waits for no more than a minute


@click.command()
@click.option("--http", metavar="[HOST:]PORT", help="Streamable HTTP at /mcp; else stdio.")
@asking
@click.pass_context
def mcp(context: click.Context, http: str | None, url: str | None, key: str | None) -> None:
    """Give assistant programs tools that read runs, by MCP."""
    command = context.command_path
    if find_spec("mcp") is None:
        advice = "bring it by: pip install 'grokprobe[mcp]'"
        raise InvalidInput(command, f"needs mcp, which is not installed; {advice}")
    sockets = listen(*address(http), "--http") if http else []
    from grokprobe.agents.server import make_server, serve_http

    client = opened_async(command, url, key, WAIT_S)
    end_by_signals(client)
    server = make_server(client)
    if not sockets:
        server.run()
        return
    for one in sockets:
        print(f"tools at {http_url(*one.getsockname()[:2])}/mcp", file=sys.stderr, flush=True)
    serve_http(server, sockets)


def end_by_signals(client: "AsyncClient") -> None:
    """Leave at once by Ctrl-C and SIGTERM: an orderly exit would wait for standard input."""

    def leave(number: int, _frame: object) -> None:
        if client._child:
            client._child.stop()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


def address(text: str) -> tuple[str, int]:
    """Host and port, 0 for any that is free. Raises InvalidInput, also for a host others reach."""
    match = re.fullmatch(r"(?:(?P<host>.+):)?(?P<port>\d{1,5})", text)
    if match is None or int(match["port"]) > 65535:
        raise InvalidInput("--http", f"expected [HOST:]PORT, such as 8010, got {text!r}")
    host = (match["host"] or "127.0.0.1").removeprefix("[").removesuffix("]")
    if not is_loopback(host):
        advice = "it asks for no key; put a proxy that does before 127.0.0.1"
        raise InvalidInput("--http", f"{host} is reached by others, and {advice}")
    return host, int(match["port"])
