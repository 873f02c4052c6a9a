"""How long a tool may take, over a service that never answers."""

import asyncio
import threading
from typing import Any

from mcp import Client as McpClient

from grokprobe import AsyncClient
from grokprobe.agents.server import make_server
from tests.support.assistants import text
from tests.support.proxy import Forwarding, forwarding, listening
from tests.support.served import PATIENCE_S, Served


def test_a_service_that_never_answers_is_not_waited_for(served: Served) -> None:
    """A call ends within its bound, which is said with what to do; the server goes on."""
    ends = threading.Event()

    def wait(request: Forwarding) -> None:
        if request.path.startswith("/v1/runs/tiny/emergence"):
            ends.wait(PATIENCE_S)
        request.forward(request.path)

    async def asking(url: str) -> list[Any]:
        async with (
            AsyncClient(url, cache=False) as client,
            McpClient(make_server(client, "WARNING", most_s=0.5)) as assistant,
        ):
            late = await assistant.call_tool("emergence", {"run": "tiny"})
            ends.set()
            return [late, await assistant.call_tool("nothing", {})]

    with listening(forwarding(served.url, wait)) as url:
        late, after = asyncio.run(asking(url))
    assert late.is_error
    assert text(late).startswith("emergence: no answer in 0.5 s; ask again")
    assert "there is no tool" in text(after)
