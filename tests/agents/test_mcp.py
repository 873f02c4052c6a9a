"""The MCP server, driven by the SDK's own client through a real service over `quickstart`."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters, stdio_client

from grokprobe.agents.tools import Tools
from grokprobe.agents.words import MOST_BYTES, told
from grokprobe.settings import Settings
from tests.cli.test_command import COMMAND, run
from tests.support.served import Quickstart, Served, environment, free_port, started

ROOT = Path(__file__).parents[2]
Answers = dict[str, Any]


@asynccontextmanager
async def assistant(url: str, folder: Path) -> AsyncIterator[McpClient]:
    """A client of `grokprobe mcp` on standard input and output."""
    given = environment(Settings(home=str(folder)), XDG_CACHE_HOME=str(folder / "cache"))
    words = ["-P", "-m", "grokprobe", "mcp", "--url", url]
    child = StdioServerParameters(command=sys.executable, args=words, env=given, cwd=str(folder))
    async with McpClient(stdio_client(child)) as client:
        yield client


def ask(url: str, folder: Path, *calls: tuple[str, Answers]) -> list[Any]:
    """The results of some calls of one server."""

    async def asking() -> list[Any]:
        async with assistant(url, folder) as client:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(asking())


def text(result: Any) -> str:
    """The text of a result, which is always short."""
    [found] = [one.text for one in result.content if one.type == "text"]
    assert len(found.encode()) < 2_000
    return str(found)


Q: Answers = {"run": "quickstart"}
GENERALISED = Q | {"step": "generalised"}
CALLS: dict[str, tuple[str, Answers]] = {
    "runs": ("runs", {"operation": "add"}),
    "run": ("run", Q),
    "emergence": ("emergence", Q),
    "first": ("measures", Q | {"step": "first"}),
    "generalised": ("measures", GENERALISED),
    "norm": ("measures", Q | {"names": ["weight_norm", "gini_embedding"]}),
    "compare": ("compare", {"a": "quickstart@memorised", "b": "quickstart@generalised"}),
    "pairs": ("predict", GENERALISED | {"pairs": [[3, 5], [58, 1]]}),
    "early": ("predict", Q | {"step": "memorised", "pairs": [[3, 5], [20, 50], [7, 7]]}),
    "spectrum": ("spectrum", Q | {"null": 50}),
    "spectrum first": ("spectrum", Q | {"step": "first"}),
}
API = "/v1/runs/quickstart"


def strongest(api: Callable[[str], Any], step: str) -> Any:
    """The frequency that carries most of the embedding."""
    rows = api(f"{API}/checkpoints/{step}/spectrum")["spectrum"]
    return max(rows, key=lambda row: row["share"])["frequency"]


def lost_test_pairs(api: Callable[[str], Any]) -> Any:
    """How many pairs `generalised` has right that `memorised` had not."""
    parts = api("/v1/compare?a=quickstart/memorised&b=quickstart/generalised")["parts"]
    return next(p["wrong_to_right"] for p in parts if p["split_a"] == "test")


# A question, the answer from the tools' outputs, and the API's own.
QUESTIONS: list[tuple[str, Callable[[Answers], Any], Callable[[Callable[[str], Any]], Any]]] = [
    ("How many runs of addition are there?",
     lambda a: a["runs"]["count"], lambda api: len(api("/v1/runs?operation=add")["runs"])),
    ("Which modulus?", lambda a: a["run"]["task"]["modulus"],
     lambda api: api(API)["task"]["modulus"]),
    ("How many pairs were held out?",
     lambda a: a["run"]["task"]["test_pairs"], lambda api: api(API)["task"]["test_pairs"]),
    ("When did it memorise?",
     lambda a: a["emergence"]["memorised"]["step"], lambda api: api(API)["memorised_step"]),
    ("When did it generalise?",
     lambda a: a["run"]["generalised_step"], lambda api: api(API)["generalised_step"]),
    ("How many steps later is that?",
     lambda a: a["emergence"]["generalised"]["step"] - a["emergence"]["memorised"]["step"],
     lambda api: api(API)["generalised_step"] - api(API)["memorised_step"]),
    ("Between which checkpoints did it generalise?",
     lambda a: a["emergence"]["generalised"]["previous_step"],
     lambda api: api(f"{API}/emergence")["generalised"]["previous_step"]),
    ("When was test accuracy half-way?",
     lambda a: next(s["midpoint"] for s in a["emergence"]["series"]
                    if s["series"] == "test_accuracy"),
     lambda api: api(f"{API}/emergence")["series"]["test_accuracy"]["midpoint"]["step"]),
    ("How far behind test accuracy does the key share begin?",
     lambda a: next(s["onset"] for s in a["emergence"]["lags"] if s["series"] == "key_share"),
     lambda api: api(f"{API}/emergence")["lags"]["key_share"]["onset"]["steps"]),
    ("When does the cleanup end?",
     lambda a: a["emergence"]["phases"]["cleanup"]["end"],
     lambda api: api(f"{API}/emergence")["phases"]["cleanup"]["end"]),
    ("What are the key frequencies?",
     lambda a: a["run"]["key_frequencies"], lambda api: api(API)["key_frequencies"]),
    ("What is the test accuracy of the initial weights?",
     lambda a: next(m["value"] for m in a["first"]["measures"] if m["measure"] == "test_accuracy"),
     lambda api: api(f"{API}/checkpoints/first")["measures"]["test_accuracy"]),
    ("And once it generalises?",
     lambda a: next(m["value"] for m in a["generalised"]["measures"]
                    if m["measure"] == "test_accuracy"),
     lambda api: api(f"{API}/checkpoints/generalised")["measures"]["test_accuracy"]),
    ("What is the weight norm at the end?",
     lambda a: a["norm"]["measures"][0]["value"],
     lambda api: api(f"{API}/checkpoints/latest")["measures"]["weight_norm"]),
    ("What does it answer to 3 + 5 once it generalises?",
     lambda a: a["pairs"]["predictions"][0]["predicted"],
     lambda api: (3 + 5) % api(API)["task"]["modulus"]),
    ("Was that pair trained on?",
     lambda a: a["pairs"]["predictions"][0]["split"],
     lambda api: api(f"{API}/checkpoints/latest/predictions?a=3&b=5")["predictions"][0]["split"]),
    ("How many of three pairs has it right when it has memorised?",
     lambda a: a["early"]["correct"],
     lambda api: sum(
         api(f"{API}/checkpoints/memorised/predictions?a={a}&b={b}")["predictions"][0]["correct"]
         for a, b in ((3, 5), (20, 50), (7, 7)))),
    ("Which frequency carries most of the embedding at the end?",
     lambda a: a["spectrum"]["spectrum"][0]["frequency"], lambda api: strongest(api, "latest")),
    ("Is that more than chance?",
     lambda a: a["spectrum"]["null"]["p_value"],
     lambda api: api(f"{API}/checkpoints/latest/spectrum?null=50")["null"]["p_value"]),
    ("How many test pairs became right between memorising and generalising?",
     lambda a: next(p["wrong_to_right"] for p in a["compare"]["parts"] if p["split_a"] == "test"),
     lost_test_pairs),
]  # fmt: skip


def test_twenty_questions(quickstart: Quickstart, tmp_path: Path) -> None:
    """Each is answered by the outputs of tools alone, with the API's number."""
    url, api_client = quickstart.served.url, quickstart.served.client
    found = ask(url, tmp_path, *CALLS.values())
    answers = {name: json.loads(text(one)) for name, one in zip(CALLS, found, strict=True)}

    def api(path: str) -> Any:
        return api_client.get(path).raise_for_status().json()

    assert len(QUESTIONS) == 20
    told_and_true = [(q, from_tools(answers), truth(api)) for q, from_tools, truth in QUESTIONS]
    assert [row for row in told_and_true if row[1] != row[2]] == []
    digest = api(f"{API}/card")["digests"]["card"]
    assert digest in answers["run"]["cite"]
    assert all(a["more"].startswith(f"{url}/v1/") for a in answers.values())
    assert all(api_client.get(a["more"]).status_code == 200 for a in answers.values())


def test_a_picture_is_a_picture(served: Served, tmp_path: Path) -> None:
    """A png, of a checkpoint or of a run, and where it is."""
    calls = [("picture", {"run": "tiny", "chart": chart}) for chart in ("circle", "trajectory")]
    for result in ask(served.url, tmp_path, *calls):
        assert [one.mime_type for one in result.content if one.type == "image"] == ["image/png"]
        assert json.loads(text(result))["more"].startswith(f"{served.url}/v1/runs/tiny/")


WRONG: list[tuple[str, Answers, str]] = [
    ("run", {"run": "tinny"}, "Ask for: tiny"),
    ("run", {"run": "../../etc/passwd"}, ""),
    ("run", {"run": "x" * 100_000}, ""),
    ("measures", {"run": "tiny", "step": "generalised"}, "generalised"),
    ("measures", {"run": "tiny", "step": "7"}, "7"),
    ("measures", {"run": "tiny", "names": ["test_acuracy"]}, "test_accuracy"),
    ("predict", {"run": "tiny", "pairs": [[1, 99]]}, "99"),
    ("predict", {"run": "tiny", "pairs": []}, ""),
    ("predict", {"run": "tiny", "pairs": "all"}, ""),
    ("spectrum", {"run": "tiny", "of": "soul"}, ""),
    ("compare", {"a": "tiny@first", "b": "nobody"}, "nobody"),
    ("picture", {"run": "tiny", "chart": "pie"}, ""),
]


def test_errors_say_what_to_ask_instead(served: Served, tmp_path: Path) -> None:
    """And the server goes on."""
    calls = [(tool, arguments) for tool, arguments, _ in WRONG]
    *failed, after = ask(served.url, tmp_path, *calls, ("runs", {}))
    for (tool, arguments, says), result in zip(WRONG, failed, strict=True):
        assert result.is_error, (tool, arguments)
        assert says in text(result)
    assert json.loads(text(after))["runs"]


def test_a_service_that_is_away_is_told(closed_port: int, tmp_path: Path) -> None:
    """By its address; the server goes on."""
    url = f"http://127.0.0.1:{closed_port}"
    for result in ask(url, tmp_path, ("runs", {}), ("run", {"run": "tiny"})):
        assert result.is_error
        assert url in text(result)


def test_streamable_http_gives_the_same(served: Served, tmp_path: Path) -> None:
    """At /mcp of a port on loopback."""
    words = ["mcp", "--url", served.url, "--http", str(port := free_port())]
    settings = Settings(home=str(tmp_path))

    async def asking() -> Any:
        async with McpClient(f"http://127.0.0.1:{port}/mcp") as client:
            return await client.call_tool("runs", {})

    with started([*COMMAND, *words], settings, tmp_path, "Uvicorn running") as process:
        found = asyncio.run(asking())
        process.terminate()
        process.communicate()
    [by_stdio] = ask(served.url, tmp_path, ("runs", {}))
    assert text(found) == text(by_stdio)


@pytest.mark.parametrize(
    ("http", "says"),
    [("0.0.0.0:8010", "is reached by others"), ("soon", "expected [HOST:]PORT"), ("0", "expected")],
)
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, http: str, says: str) -> None:
    """Before anything is started."""
    done = run([*COMMAND, "mcp", "--http", http, "--url", "http://127.0.0.1:1"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_tools_only_read_and_are_documented(served: Served, tmp_path: Path) -> None:
    """Every one says so; the table of the docs has the same ones with the same first line."""

    async def listing() -> Any:
        async with assistant(served.url, tmp_path) as client:
            return (await client.list_tools()).tools

    tools = asyncio.run(listing())
    assert [tool.name for tool in tools] == [n for n in vars(Tools) if not n.startswith("_")]
    assert all(tool.annotations.read_only_hint for tool in tools)
    page = (ROOT / "docs" / "agents.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)
    assert rows == [(tool.name, tool.description.splitlines()[0]) for tool in tools]


def test_an_answer_is_cut_at_its_lists() -> None:
    """The longest first, and it says of how many; without lists at its bytes."""
    rows = [{"run": f"run-{n:04d}", "test_accuracy": 1 / 3} for n in range(1_000)]
    found = told({"count": 1_000, "runs": rows, "few": [1, 2]}, "v1/runs", rows=["runs", "few"])
    said = json.loads(found)
    assert len(found.encode()) <= MOST_BYTES
    assert said["few"] == [1, 2]
    assert said["left_out"] == {"runs": 1_000 - len(said["runs"])}
    assert len(told({"long": "é" * 5_000}, "").encode()) <= MOST_BYTES
