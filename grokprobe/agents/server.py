"""An MCP server over one service, by the official SDK."""

import inspect
from importlib.metadata import version
from typing import Any, Literal

from mcp.server import MCPServer
from mcp.types import ToolAnnotations

from grokprobe.agents.tools import Tools
from grokprobe.client.asynchronous.client import AsyncClient

INSTRUCTIONS = """\
grokprobe watches small networks learn modular arithmetic: they memorise the train pairs, and much
later generalise to the test pairs, when their embedding becomes circles at a few key frequencies.
Begin with `runs`. A step counts optimiser updates: it is a number that was published, or first,
latest, memorised, generalised. Every answer is short and says in `more` where the whole of it is;
cite by `cite`."""
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def make_server(client: AsyncClient, log_level: Literal["INFO", "WARNING"]) -> MCPServer[Any]:
    """A server with each of the tools; it logs to standard error."""
    server: MCPServer[Any] = MCPServer(
        "grokprobe", instructions=INSTRUCTIONS, version=version("grokprobe"), log_level=log_level
    )
    tools = Tools(client)
    for name, tool in vars(Tools).items():
        if not name.startswith("_"):
            server.tool(
                description=inspect.getdoc(tool), annotations=READS, structured_output=False
            )(getattr(tools, name))
    return server
