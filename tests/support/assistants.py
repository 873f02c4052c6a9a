"""An assistant program: the SDK's own client of `grokprobe mcp`, a real child of its own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

from grokprobe.settings import Settings
from tests.support.served import environment

Arguments = dict[str, Any]
Call = tuple[str, Arguments]


@asynccontextmanager
async def assistant(folder: Path, *words: str, **changes: str) -> AsyncIterator[Client]:
    """A client of `grokprobe mcp WORDS` on standard input and output, at home in a folder."""
    given = environment(Settings(home=str(folder)), XDG_CACHE_HOME=str(folder / "cache"), **changes)
    command = ["-P", "-m", "grokprobe", "mcp", *words]
    child = StdioServerParameters(command=sys.executable, args=command, env=given, cwd=str(folder))
    async with Client(stdio_client(child)) as client:
        yield client


def ask(url: str, folder: Path, *calls: Call) -> list[Any]:
    """The results of some calls of one server."""

    async def asking() -> list[Any]:
        async with assistant(folder, "--url", url) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(asking())


def text(result: Any) -> str:
    """The text of a result, which is always short."""
    [found] = [one.text for one in result.content if one.type == "text"]
    assert len(found.encode()) < 2_000
    return str(found)


def facts(result: Any) -> Any:
    """What a result tells that is no error."""
    assert not result.is_error, text(result)
    return json.loads(text(result))
