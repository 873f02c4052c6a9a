"""`grokprobe mcp`: tools for assistant programs."""

import os
import re
import signal
from typing import TYPE_CHECKING

import click

from grokprobe.addresses import is_loopback, listen
from grokprobe.cli.extras import check_installed
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
    check_installed(command, "mcp")
    place = address(http) if http else None
    for taken in listen(*place, "--http") if place else []:
        taken.close()  # it can be had: the library only logs that it cannot
    from grokprobe.agents.server import make_server, serve_http

    client = opened_async(command, url, key, WAIT_S)
    end_by_signals(client)
    if place is None:
        make_server(client, "WARNING").run()
    else:
        serve_http(make_server(client, "INFO"), *place)


def end_by_signals(client: "AsyncClient") -> None:
    """Leave at once by Ctrl-C and SIGTERM: an orderly exit would wait for standard input."""

    def leave(number: int, _frame: object) -> None:
        if client._child:
            client._child.stop()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


def address(text: str) -> tuple[str, int]:
    """Host and port. Raises InvalidInput, also for a host that others reach."""
    match = re.fullmatch(r"(?:(?P<host>.+):)?(?P<port>\d{1,5})", text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InvalidInput("--http", f"expected [HOST:]PORT, such as 8010, got {text!r}")
    host = (match["host"] or "127.0.0.1").removeprefix("[").removesuffix("]")
    if not is_loopback(host):
        advice = "it asks for no key; put a proxy that does before 127.0.0.1"
        raise InvalidInput("--http", f"{host} is reached by others, and {advice}")
    return host, int(match["port"])
