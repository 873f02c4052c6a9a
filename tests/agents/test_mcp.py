"""The MCP server, driven by the SDK's own client: pictures, errors, faults, where it listens."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client as McpClient

from grokprobe.agents.tools import Tools
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.cli.test_command import COMMAND, run
from tests.support.assistants import ask, assistant, facts, listening_assistant, text
from tests.support.faulty import faulty
from tests.support.served import Served, environment, free_port, serving
from tests.support.tiny import tiny_run
from tests.support.trained import Trained, settings_at

ROOT = Path(__file__).parents[2]
Answers = dict[str, Any]
HELLO = json.dumps(
    {
        **{"jsonrpc": "2.0", "id": 1, "method": "initialize"},
        "params": {
            **{"protocolVersion": "2025-06-18", "capabilities": {}},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
)


def test_a_picture_is_a_picture(served: Served, tmp_path: Path) -> None:
    """A png, of a checkpoint or of a run, and where it is."""
    calls = [("picture", {"run": "tiny", "chart": chart}) for chart in ("circle", "trajectory")]
    for result in ask(served.url, tmp_path, *calls):
        assert [one.mime_type for one in result.content if one.type == "image"] == ["image/png"]
        assert facts(result)["cite"]["run"] == "tiny"
        assert facts(result)["more"].startswith(f"{served.url}/v1/runs/tiny/")


def test_where_no_picture_is_drawn(trained: Trained, tmp_path: Path) -> None:
    """What helps is said, and where the chart is as data."""
    with serving(trained.settings, tmp_path, GROKPROBE_PICTURES="false") as served:
        [result] = ask(served.url, tmp_path, ("picture", {"run": "tiny", "chart": "circle"}))
    assert result.is_error
    assert "grokprobe[pictures]" in text(result)
    assert f"format=vega-lite is the chart as data, of {served.url}/v1/runs/tiny/" in text(result)


LONG = "é" * 30_000
T: Answers = {"run": "tiny"}
WRONG: list[tuple[str, Answers, str]] = [
    ("run", {"run": "tinny"}, "there is no run 'tinny'; ask for tiny"),
    ("run", {"run": "nobody"}, "`runs` lists them"),
    ("run", {"run": "../../etc/passwd"}, "there is no run"),
    ("run", {"run": "tiny?x=1#\n\x00\U0001f600"}, "there is no run"),
    ("run", {"run": LONG}, "at most 100 characters"),
    ("run", {}, "run: Field required"),
    ("run", {"run": ["tiny"]}, "run: Input should be a valid string"),
    ("measures", T | {"step": "generalized"}, "nor one of first, latest, memorised, generalised"),
    ("measures", T | {"step": 7}, "nearest: 1, 4; ask for one of these, or for `latest`"),
    ("measures", T | {"step": LONG}, "at most 100 characters"),
    ("measures", T | {"names": ["test_acuracy"]}, "ask for test_accuracy"),
    ("measures", T | {"names": [LONG]}, "at most 100 characters"),
    ("measures", T | {"name": ["loss"]}, "there is no argument 'name'; ask for names"),
    ("predict", T | {"pairs": [[1, 99]]}, "99 is not a residue 0..12"),
    ("predict", T | {"pairs": [[1, -1]]}, "Expected `int` >= 0"),
    ("predict", T | {"pairs": []}, "pairs: List should have at least 1 item"),
    ("predict", T | {"pairs": "all"}, "pairs: Input should be a valid list"),
    ("predict", T | {"pairs": [["x", "y"]] * 50}, "; and 97 more"),
    ("predict", T | {"pairs": [[1, 2]] * 50_000}, "at most 100 items"),
    ("spectrum", T | {"of": "soul"}, "of: Input should be 'embedding'"),
    ("spectrum", T | {"null": 10**9}, "null: Input should be less than or equal to 1000"),
    ("compare", {"a": "tiny@first", "b": "nobody"}, "there is no run 'nobody'"),
    ("compare", {"a": "tiny/first", "b": "tiny/9999999"}, "ask for one of these"),
    ("compare", {"a": LONG, "b": LONG}, "at most 200 characters"),
    ("runs", {"group": LONG}, "at most 100 characters"),
    ("run", {"run": "é" * 100}, "there is no run"),
    ("picture", T | {"chart": "pie"}, "chart: Input should be 'circle'"),
    ("emergenze", {}, "there is no tool 'emergenze'; ask for emergence"),
    (LONG, {}, "there are runs, run, emergence"),
]


def test_errors_say_what_to_ask_instead(served: Served, tmp_path: Path) -> None:
    """In one short line; and the server goes on."""
    calls = [(tool, arguments) for tool, arguments, _ in WRONG]
    *failed, after = ask(served.url, tmp_path, *calls, ("runs", {}))
    for (tool, arguments, says), result in zip(WRONG, failed, strict=True):
        assert result.is_error, (tool[:80], str(arguments)[:80])
        assert says in text(result)
        assert len(text(result).splitlines()) == 1
    assert facts(after)["count"] == 1


def test_a_label_that_is_not_reached(tmp_path: Path) -> None:
    """What is there instead is said."""
    settings = settings_at(tmp_path)

    async def publish() -> None:
        async with open_backends(settings) as backends:
            await tiny_run(steps=(0,)).publish(backends)

    asyncio.run(publish())
    call = ("spectrum", {"run": "tiny", "step": "generalised"})
    with serving(settings, tmp_path) as served:
        [result] = ask(served.url, tmp_path, call)
    assert result.is_error
    assert "ask for `latest`, or `emergence` for what was reached" in text(result)


def test_a_service_that_is_away_and_comes_back(served: Served, tmp_path: Path) -> None:
    """It is named; the same server answers once it listens."""

    async def asking(port: int, url: str) -> list[Any]:
        async with assistant(tmp_path, "--url", url) as client:
            away = [await client.call_tool(*call) for call in (("runs", {}), ("emergence", T))]
            with faulty(served.url, port):
                return [*away, await client.call_tool("emergence", T)]

    url = f"http://127.0.0.1:{(port := free_port())}"
    *away, back = asyncio.run(asking(port, url))
    for result in away:
        assert result.is_error
        assert f"nobody answers at {url}" in text(result)
        assert "ask again once it runs" in text(result)
    assert facts(back)["run"] == "tiny"


@pytest.mark.parametrize(
    ("fault", "says"), [(500, "(500)"), ("cut", "did not finish"), (401, "key")]
)
def test_a_service_that_fails_is_told(
    served: Served, tmp_path: Path, fault: int | str, says: str
) -> None:
    """In words, whichever of a tool's questions it is."""
    with faulty(served.url) as broken:
        broken.faults = [fault] * 40
        [result] = ask(broken.url, tmp_path, ("emergence", T))
    assert result.is_error
    assert says in text(result)


def test_a_service_of_its_own(trained: Trained, tmp_path: Path) -> None:
    """Without an address: paths are told and who serves them; its end is the server's."""
    home = {"GROKPROBE_HOME": str(trained.settings.home_path)}

    async def asking() -> Any:
        async with assistant(tmp_path, **home) as client:
            return await client.call_tool("spectrum", T)

    found = facts(asyncio.run(asking()))
    path = f"/v1/runs/tiny/checkpoints/{found['step']}/spectrum?of=embedding"
    assert found["more"] == f"{path} (served to others by `grokprobe serve`)"
    assert "page" not in found


def test_streamable_http_gives_the_same(served: Served, tmp_path: Path) -> None:
    """At /mcp of a port on loopback; not to a page of another host."""

    async def asking(url: str) -> Any:
        async with McpClient(url) as client:
            return await client.call_tool("runs", {})

    with listening_assistant(served.url, tmp_path) as url:
        found = asyncio.run(asking(url))
        foreign = {"Host": "lab.example"}, {"Origin": "http://lab.example"}
        refused = [httpx.post(url, json={}, headers=one).status_code for one in foreign]
    [by_stdio] = ask(served.url, tmp_path, ("runs", {}))
    assert text(found) == text(by_stdio)
    assert refused == [421, 403]


@pytest.mark.parametrize(
    ("http", "says"),
    [
        *[("0.0.0.0:8010", "is reached by others"), ("[::]:8010", "is reached by others")],
        *[("soon", "expected [HOST:]PORT"), ("0", "expected"), ("70000", "expected")],
    ],
)
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, http: str, says: str) -> None:
    """Before anything is started."""
    done = run([*COMMAND, "mcp", "--http", http, "--url", "http://127.0.0.1:1"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """Exit status 2 and one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run([*COMMAND, "mcp", "--http", port, "--url", "http://127.0.0.1:1"], tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "choose another port" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Also while standard input is open."""
    command = [*COMMAND, "mcp", "--url", "http://127.0.0.1:1"]
    given, pipe = environment(Settings(home=str(tmp_path))), subprocess.PIPE
    with subprocess.Popen(command, env=given, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(HELLO + "\n")
        process.stdin.flush()
        assert '"grokprobe"' in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) == 128 + number


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    """Exit status 2 and the line that brings it."""
    program = (
        "import sys, importlib.util as util; find = util.find_spec;"
        "util.find_spec = lambda name, *rest: None if name == 'mcp' else find(name, *rest);"
        "from grokprobe.cli.main import main; sys.exit(main(['mcp']))"
    )
    done = run([sys.executable, "-c", program], tmp_path, PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("bring it by: pip install 'grokprobe[mcp]'\n")


def test_tools_only_read_and_are_documented(served: Served, tmp_path: Path) -> None:
    """Every one says so; the table of the docs has the same ones with the same first line."""

    async def listing() -> Any:
        async with assistant(tmp_path, "--url", served.url) as client:
            return (await client.list_tools()).tools

    tools = asyncio.run(listing())
    assert [tool.name for tool in tools] == [n for n in vars(Tools) if not n.startswith("_")]
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert tool.annotations.idempotent_hint
    page = (ROOT / "docs" / "agents.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert rows == [(tool.name, tool.description.splitlines()[0]) for tool in tools]
