"""An MCP server over one service, by the official SDK: what is common to all its tools."""

import inspect
from importlib.metadata import version
from typing import Any, Literal

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import ValidationError

from grokprobe.agents.refusals import refusal, unknown, wrong_arguments
from grokprobe.agents.tools import Tools
from grokprobe.agents.words import short
from grokprobe.client.asynchronous.client import AsyncClient
from grokprobe.client.errors import ClientError

INSTRUCTIONS = """\
grokprobe watches small networks learn modular arithmetic: they memorise the train pairs, and much
later generalise to the test pairs, when their embedding becomes circles at a few key frequencies.
Begin with `runs`. A step counts optimiser updates: it is a number that was published, or first,
latest, memorised, generalised. Every answer is short; `left_out` says what was cut, `more` is the
address of the whole, `page` one for people. Cite by `cite`. Numbers are not rounded."""
READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
MOST_S = 50.0  # for one call: those who ask give up after 60
NAMES = ("127.0.0.1", "localhost", "[::1]")


class Server(MCPServer[Any]):
    """Every refusal is one short line, and no call takes longer than `most_s`."""

    most_s = MOST_S

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """The result of a tool. Raises ToolError, with what to ask instead."""
        try:
            await self._check_names(name, arguments)
            with anyio.fail_after(self.most_s):
                return await super().call_tool(name, arguments, context)
        except TimeoutError:
            words = f"no answer in {self.most_s:g} s; ask again: what is computed meanwhile is kept"
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError):
                words = refusal(cause)
            elif isinstance(cause, ValidationError):
                words = wrong_arguments(cause)
            elif isinstance(error, UnexpectedToolError):
                raise  # a fault of ours, which is logged
            else:
                words = str(cause or error)
        raise ToolError(short(f"{name}: {words}" if len(name) < 100 else words))

    async def _check_names(self, name: str, arguments: dict[str, Any]) -> None:
        """Raise ToolError for a tool or an argument that does not exist."""
        tools = {tool.name: tool.input_schema["properties"] for tool in await self.list_tools()}
        if name not in tools:
            raise ToolError(unknown("tool", name, tools, f"there are {', '.join(tools)}"))
        for argument in arguments.keys() - tools[name]:
            listed = f"it takes {', '.join(tools[name])}"
            raise ToolError(unknown("argument", argument, tools[name], listed))


def make_server(
    client: AsyncClient, log_level: Literal["INFO", "WARNING"], most_s: float = MOST_S
) -> Server:
    """A server with each of the tools; it logs to standard error."""
    server = Server(
        "grokprobe", instructions=INSTRUCTIONS, version=version("grokprobe"), log_level=log_level
    )
    server.most_s, tools = most_s, Tools(client)
    for name, tool in vars(Tools).items():
        if not name.startswith("_"):
            server.tool(
                description=inspect.getdoc(tool), annotations=READS, structured_output=False
            )(getattr(tools, name))
    return server


def serve_http(server: Server, host: str, port: int) -> None:
    """Answer at /mcp until Ctrl-C; nothing is kept between requests."""
    names = [*NAMES, f"[{host}]" if ":" in host else host]
    places = [name + any_port for name in names for any_port in ("", ":*")]
    # A page of another host that a browser shows must not ask in its user's name (DNS rebinding).
    security = TransportSecuritySettings(
        allowed_hosts=places, allowed_origins=[f"http://{place}" for place in places]
    )
    server.run(
        "streamable-http",
        host=host,
        port=port,
        stateless_http=True,
        transport_security=security,
    )
