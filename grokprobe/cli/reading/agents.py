"""`grokprobe mcp`: tools for assistant programs."""

import re
from importlib.util import find_spec

import click

from grokprobe.addresses import is_loopback
from grokprobe.cli.reading.connecting import asking, opened_async
from grokprobe.errors import InvalidInput

WAIT_S = 60  # for one answer: an assistant waits no longer


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
    place = address(http) if http else None
    from grokprobe.agents.server import make_server

    client = opened_async(command, url, key, WAIT_S)
    if place is None:
        make_server(client, "WARNING").run()
    else:
        make_server(client, "INFO").run("streamable-http", host=place[0], port=place[1])


def address(text: str) -> tuple[str, int]:
    """Host and port. Raises InvalidInput, also for a host that others reach."""
    match = re.fullmatch(r"(?:(?P<host>.+):)?(?P<port>\d{1,5})", text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InvalidInput("--http", f"expected [HOST:]PORT, such as 8010, got {text!r}")
    host = match["host"] or "127.0.0.1"
    if not is_loopback(host):
        advice = "it asks for no key; put a proxy that does before 127.0.0.1"
        raise InvalidInput("--http", f"{host} is reached by others, and {advice}")
    return host, int(match["port"])
