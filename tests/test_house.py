"""The rules of the house, read from the source: who imports whom, and how long a page is."""

import ast
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ["grokprobe", "trainer", "service"]
SOURCES = [path for f in FOLDERS for path in sorted((ROOT / f).rglob("*.py"))]
TREES = {path.relative_to(ROOT): ast.parse(path.read_text()) for path in SOURCES}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = Function | ast.ClassDef

# All that the maths takes from the standard library: nothing that reads, writes, waits or starts.
PURE = ["collections", "dataclasses", "functools", "hashlib", "itertools", "math", "typing"]


def module(path: Path) -> str:
    """The dotted name of a file: `grokprobe/store/__init__.py` is `grokprobe.store`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.Module) -> Iterator[str]:
    """The dotted name of everything imported, at the top or late, with what `from` takes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or lies in one."""
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def offenders(part: str, *forbidden: str) -> list[str]:
    """`module: import` for each import that a part of the source must not have."""
    return [
        f"{module(path)}: {name}"
        for path, tree in TREES.items()
        for name in imports(tree)
        if within(module(path), part) and within(name, *forbidden)
    ]


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("grokprobe", ["trainer", "service", "torch", "litestar", "uvicorn", "onnxruntime"]),
        ("trainer", ["service", "litestar", "uvicorn"]),
        ("service", ["trainer", "torch", "grokprobe.store.archive.publisher"]),
        ("grokprobe.store", ["grokprobe.analysis", "scipy"]),
        ("grokprobe.agents", ["grokprobe.store", "grokprobe.cli", "grokprobe.settings"]),
        ("grokprobe.client", ["grokprobe.agents", "mcp"]),
    ],
)
def test_imports_point_one_way(part: str, forbidden: list[str]) -> None:
    """trainer -> grokprobe <- service; torch and Litestar have one home; store has no maths."""
    assert offenders(part, *forbidden) == []


# The rooms of a package from its door to its cellar: a room imports rooms further down, none of its
# own floor and none above.
ROOMS = {
    "service": """
        __main__ measuring > app > v1 v2 middleware server > health explorer > charts > http
        > context > inference events rendering > runs > formats > telemetry errors cache""",
    "service.v1": """
        routes > runs card checkpoints groups run checkpoint interventions compare
        > comparing requesting > group_answer precursor_table basis probing""",
    "trainer": """
        __main__ > arguments > jobs importing > publishing > measuring > learning > models reporting
        > config""",
    "grokprobe.store": "backends > catalogue > archive > decoding > records > bounds",
}
Sources = Mapping[Path, ast.Module]


def room(name: str, package: str) -> str:
    """The first part of a dotted name within a package; empty if it lies elsewhere."""
    return name.removeprefix(f"{package}.").partition(".")[0] if within(name, package) else ""


def against_the_order(package: str, sources: Sources) -> list[str]:
    """`module: import` for each import that is not of a room further down, or of no known room."""
    floors = [floor.split() for floor in ROOMS[package].split(">")]
    depth = {name: number for number, floor in enumerate(floors) for name in floor}
    found = []
    for path, tree in sources.items():
        own = room(module(path), package)
        if not own or module(path) == package:
            continue
        for name in imports(tree):
            other = room(name, package)
            if other not in ("", own) and not depth.get(own, -1) < depth.get(other, -1):
                found.append(f"{module(path)}: {name}")
    return found


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_those_further_down(package: str) -> None:
    """In the order of the table, so that there are no circles between rooms either."""
    assert against_the_order(package, TREES) == []


@pytest.mark.parametrize(
    ("package", "path", "planted"),
    [
        ("service", "service/inference/grids.py", "from service.http.target import find"),
        ("service", "service/v1/runs.py", "from service.v2.paths import TAGS"),
        ("service", "service/explorer.py", "from service.v1.routes import V1"),
        ("service.v1", "service/v1/run/events.py", "from service.v1.checkpoint import fast"),
        ("trainer", "trainer/reporting/progress.py", "from trainer.publishing import worker"),
        ("trainer", "trainer/config/schema.py", "import trainer.learning.train"),
        ("grokprobe.store", "grokprobe/store/records.py", "import grokprobe.store.archive"),
    ],
)
def test_a_planted_wrong_import_is_found(package: str, path: str, planted: str) -> None:
    """One that points up, or to the side."""
    assert len(against_the_order(package, {Path(path): ast.parse(planted)})) == 1


def circles(modules: Mapping[str, set[str]]) -> list[str]:
    """The modules that can come back to themselves by imports."""
    rest = dict(modules)
    while free := [name for name, needs in rest.items() if not needs & rest.keys()]:
        for name in free:
            del rest[name]
    return sorted(rest)


def test_no_module_comes_back_to_itself() -> None:
    """The imports of all modules have an order."""
    names = {module(path) for path in TREES}

    def target(name: str) -> str:
        return name if name in names else name.rpartition(".")[0]

    needs = {
        module(path): {target(name) for name in imports(tree)} & names - {module(path)}
        for path, tree in TREES.items()
    }
    assert circles(needs) == []
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == ["a", "b", "c"]


def test_rooms_are_small() -> None:
    """A folder holds at most 15 files; the maths, whose files are one idea each, 24."""
    counts = Counter(path.parent for path in TREES if path.name != "__init__.py")
    most = {Path("grokprobe/analysis"): 24}
    assert {str(f): n for f, n in counts.items() if n > most.get(f, 15)} == {}


@pytest.mark.parametrize("part", ["grokprobe.task", "grokprobe.analysis"])
def test_the_maths_does_no_io(part: str) -> None:
    """Arrays in, arrays out: nothing is imported that could do input or output."""
    ours = ("grokprobe.task", "grokprobe.analysis", "grokprobe.errors", "grokprobe.cached")
    allowed = ("numpy", "scipy", "pyRipser", "msgspec", *ours, *PURE)
    found = {
        name for path, tree in TREES.items() if within(module(path), part) for name in imports(tree)
    }
    assert [name for name in sorted(found) if not within(name, *allowed)] == []


def test_the_service_starts_where_torch_cannot_be_imported() -> None:
    """`service.app` and the program itself are importable with torch blocked."""
    program = "import sys; sys.modules['torch'] = None; import service.app, service.__main__"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def functions() -> Iterator[tuple[str, Function]]:
    """Every function of the source, nested ones too, with where it stands."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield f"{path}:{node.lineno} {node.name}", node


def body_lines(node: Function) -> int:
    """From the first statement after the docstring to the last line; 0 for a docstring alone."""
    rest = node.body[1:] if ast.get_docstring(node) else node.body
    return (rest[-1].end_lineno or 0) - rest[0].lineno + 1 if rest else 0


def test_functions_are_short() -> None:
    """Bodies: median 8 lines or fewer, nine in ten under 25, none over 50."""
    lengths = {where: body_lines(node) for where, node in functions()}
    assert statistics.median(lengths.values()) <= 8
    assert sum(n < 25 for n in lengths.values()) >= 0.9 * len(lengths)
    assert {where: n for where, n in lengths.items() if n > 50} == {}


def test_files_are_short() -> None:
    """Under 250 lines, but for the records that are made from the API's document."""
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in TREES}
    del lengths["grokprobe/client/records.py"]
    assert {path: n for path, n in lengths.items() if n >= 250} == {}


def test_every_function_is_annotated() -> None:
    """Each argument but self and cls, and the result."""

    def complete(node: Function) -> bool:
        given = node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        every = [*named, *filter(None, [given.vararg, given.kwarg])]
        own = {"self", "cls"}
        return node.returns is not None and all(a.annotation or a.arg in own for a in every)

    assert [where for where, node in functions() if not complete(node)] == []


def overloaded(node: Named) -> bool:
    """Whether it only says one way to call what follows."""
    return any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list)


def public(tree: ast.Module | ast.ClassDef) -> Iterator[Named]:
    """Functions and classes without a leading underscore, and the same in those classes.

    One-line declarations and overloads are left out: what they belong to speaks for them.
    """
    named = (node for node in tree.body if isinstance(node, Named) and not overloaded(node))
    for node in named:
        if not node.name.startswith("_") and node.end_lineno != node.lineno:
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_everything_public_has_a_docstring() -> None:
    """One sentence at least says what it promises."""
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in TREES.items()
        for node in public(tree)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_a_default_modulus_is_written_once() -> None:
    """The moduli that everybody uses stand in defaults and configurations, never in code."""
    usual = {59, 97, 113}
    written = [
        f"{path}:{node.lineno}"
        for path, tree in TREES.items()
        for statement in ast.walk(tree)
        if not isinstance(statement, ast.AnnAssign)  # a default of a record's field
        for node in ast.iter_child_nodes(statement)
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in usual
    ]
    assert written == []


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")
def test_a_file_is_run_by_one_process(request: pytest.FixtureRequest) -> None:
    """The groups of conftest.py are obeyed: a version of pytest may forget them without a word."""
    assert request.node.nodeid.endswith(f"@{request.node.location[0]}")
