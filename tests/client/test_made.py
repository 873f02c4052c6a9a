"""What is made from something else is what it would be made as now; every route has a method."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from grokprobe.client.answers import Record, Table
from grokprobe.client.synchronous.checkpoint import Checkpoint
from grokprobe.client.synchronous.client import Client
from grokprobe.client.synchronous.group import Group
from grokprobe.client.synchronous.run import Run
from tools import records, sync

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text())
# What `picture` takes, and what the methods that read all pages do for themselves.
ELSEWHERE = {"format", "theme", "scale", "width", "lines", "chart", "limit", "after"}


def test_the_records_are_those_of_the_document() -> None:
    """`python -m tools.records` would change nothing."""
    assert records.TARGET.read_text() == records.source()


def test_the_client_that_waits_is_the_twin_of_the_one_that_awaits() -> None:
    """`python -m tools.sync` would change nothing, and there is no module besides."""
    made = sync.modules()
    assert {p: p.read_text() for p in (sync.CLIENT / "synchronous").glob("*.py")} == made


def asked() -> dict[str, set[str]]:
    """Each route that the client asks, with the arguments of the functions that do."""
    found: dict[str, set[str]] = {}
    for path in (sync.CLIENT / "asynchronous").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef):
                given = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
                for inside in ast.walk(node):
                    if isinstance(inside, ast.Constant) and "/v1/" in str(inside.value):
                        found.setdefault(str(inside.value), set()).update(given)
    return found


ROUTES = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    if path.startswith("/v1/")
    for method, operation in methods.items()
]


@pytest.mark.parametrize(("route", "operation"), ROUTES, ids=[route for route, _ in ROUTES])
def test_every_route_has_a_method(route: str, operation: dict[str, Any]) -> None:
    """A method asks it, and takes each parameter of its query and each field of its body."""
    taken = asked()[route]
    query = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
    bodies = operation.get("requestBody", {}).get("content", {})
    fields = set(bodies.get("application/json", {}).get("schema", {}).get("properties", {}))
    assert query - ELSEWHERE - taken == set()
    assert fields - taken == set()


def test_importing_the_package_imports_none_of_its_parts() -> None:
    """Not httpx before the client is asked for; no reader and nothing heavy with the client."""
    light = "import sys, grokprobe; assert 'httpx' not in sys.modules"
    heavy = ["torch", "onnx", "litestar", "redis", "obstore", "pandas", "polars", "pyarrow"]
    heavy += ["xarray", "numpy", "scipy"]
    client = f"grokprobe.Client; assert not {set(heavy)!r} & set(sys.modules)"
    command = [sys.executable, "-c", f"{light}; {client}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_users_program_is_checked_from_outside(tmp_path: Path) -> None:
    """mypy in strict mode knows what each answer is, in a folder that is none of ours."""
    (tmp_path / "program.py").write_text(
        "from grokprobe import AsyncClient, Client\n"
        "from grokprobe.client.errors import NotFound\n\n"
        "with Client('http://127.0.0.1:8000') as client:\n"
        "    run = client.run('quickstart')\n"
        "    share: float | None = run.at('generalised').spectrum().spectrum[0].share\n"
        "    steps: list[int] = [row.step for row in run.checkpoints().checkpoints]\n"
        "    predicted: int = run.at(-1).predict([(1, 5)]).predictions[0].predicted\n"
        "    data: bytes = run.at(60).model()\n"
        "    lost: list[int | None] = [row.lost for row in run.pairs().pairs]\n"
        "    for event in run.events():\n"
        "        print(event.event)\n\n\n"
        "async def main() -> int:\n"
        "    async with AsyncClient() as client:\n"
        "        try:\n"
        "            return (await client.run('power')).about.checkpoint_count\n"
        "        except NotFound as error:\n"
        "            return error.status\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "program.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"MYPYPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("Success"), done.stdout + done.stderr


def test_every_method_is_shown() -> None:
    """Each public method of client, run, checkpoint, group and answers stands in the docs."""
    page = (ROOT / "docs/client.md").read_text()
    classes = [Client, Run, Checkpoint, Group, Table, Record]
    names = {n for c in classes for n, m in vars(c).items() if callable(m) or n == "local"}
    assert {n for n in names if not n.startswith("_") and f".{n}(" not in page} - {"close"} == set()
    assert "`close()`" in page
