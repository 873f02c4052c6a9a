"""An assistant program: the SDK's own client of `grokprobe mcp`, a real child of its own."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

from grokprobe.settings import Settings
from tests.support.served import environment, free_port, started

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


@contextmanager
def listening_assistant(url: str, folder: Path) -> Iterator[str]:
    """The address of `grokprobe mcp --http` over a service."""
    port = free_port()
    command = ["-P", "-m", "grokprobe", "mcp", "--url", url, "--http", str(port)]
    settings = Settings(home=str(folder))
    with started([sys.executable, *command], settings, folder, "Uvicorn running") as process:
        yield f"http://127.0.0.1:{port}/mcp"
        process.terminate()
        process.communicate()


async def call_all(client: Client, calls: Iterable[Call]) -> list[Any]:
    """The results of some calls, one after the other."""
    return [await client.call_tool(name, arguments) for name, arguments in calls]


def ask(url: str, folder: Path, *calls: Call) -> list[Any]:
    """The results of some calls of one server on standard input and output."""

    async def asking() -> list[Any]:
        async with assistant(folder, "--url", url) as client:
            return await call_all(client, calls)

    return asyncio.run(asking())


def ask_over_http(url: str, folder: Path, *calls: Call) -> list[Any]:
    """The same of one that listens."""

    async def asking(address: str) -> list[Any]:
        async with Client(address) as client:
            return await call_all(client, calls)

    with listening_assistant(url, folder) as address:
        return asyncio.run(asking(address))


def text(result: Any) -> str:
    """The text of a result, which is always short."""
    [found] = [one.text for one in result.content if one.type == "text"]
    assert len(found.encode()) < 2_000
    return str(found)


def facts(result: Any) -> Any:
    """What a result tells that is no error."""
    assert not result.is_error, text(result)
    return json.loads(text(result))
