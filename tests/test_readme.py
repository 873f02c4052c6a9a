"""README and docs are code: their commands run, they know every setting, route and measure."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import Metric

from grokprobe.analysis.measures_table import MEASURES
from grokprobe.settings import Settings, variable
from service.middleware.auth import ApiKeys
from service.telemetry.metrics import Metrics
from tests.support.served import Quickstart
from tests.support.trained import Trained, manifests
from trainer.config.ensemble import EnsembleSection
from trainer.config.schema import PRESETS, Config, MLPSection, decode_config
from trainer.publishing.worker import Worker
from trainer.reporting.metrics import MeteredReporter, TrainerMetrics
from trainer.reporting.progress import JsonReporter

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text()
TEXT = "\n".join([README, *PAGES.values()])
HOST = "127.0.0.1:8000"
BASE = f"http://{HOST}"


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each `$` line of the console blocks with the output that follows it, once."""
    found = []
    for block in blocks("console"):
        for part in block.split("$ ", 1)[1].split("\n$ "):
            command, _, output = part.partition("\n")
            found.append((command, output.strip()))
    return list(dict.fromkeys(found))


def shape(value: Any) -> Any:
    """The fields of a JSON value, and the values of those that no machine changes."""
    if isinstance(value, dict):
        fixed = {
            "run",
            "operation",
            "modulus",
            "answer",
            "a",
            "b",
            "statistic",
            "permutations",
            "status",
        }
        return {k: v if k in fixed else shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else "list"
    return "null" if value is None else "text" if isinstance(value, str) else "number"


def reading(text: str) -> Any:
    """The shape of an output: of JSON its fields, of CSV its header and number of columns."""
    try:
        return shape(json.loads(text))
    except ValueError:
        lines = text.splitlines()
        header = lines[0] if re.match("[a-z]", lines[0]) else ""
        return header, [line.count(",") for line in lines]


def test_there_are_commands() -> None:
    """The parser finds the curl lines and their output."""
    assert len(commands()) >= 8
    assert all(command.startswith("curl ") and output for command, output in commands())


@pytest.mark.parametrize(("command", "output"), commands())
def test_curl_lines(quickstart: Quickstart, tmp_path: Path, command: str, output: str) -> None:
    """Each line, run against a real service, gives the fields that the docs show."""
    done = subprocess.run(
        ["bash", "-c", command.replace(BASE, quickstart.served.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reading(done.stdout.strip()) == reading(output)


@pytest.mark.parametrize("code", dict.fromkeys(blocks("python")))
def test_python_blocks(quickstart: Quickstart, tmp_path: Path, code: str) -> None:
    """Each Python block prints what it says; but for the client's, grokprobe is not needed."""
    blocked = "" if "grokprobe import" in code else "import sys\nsys.modules['grokprobe'] = None\n"
    address = quickstart.served.url.removeprefix("http://")
    done = subprocess.run(
        [sys.executable, "-c", blocked + code.replace(HOST, address)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(tmp_path),
            "GROKPROBE_HOME": str(quickstart.served.log.parent / "home"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    said = re.search(r"print\(.*\)  # ([^:\n]*)", code)
    assert said is not None
    assert done.stdout.strip() == said[1]


def test_every_setting_is_documented_with_its_default() -> None:
    """The settings table and the code agree, name by name and default by default."""
    rows = dict(re.findall(r"^\| `(GROKPROBE_\w+)` \| (.*?) \|", TEXT, re.MULTILINE))
    fields = Settings.__struct_fields__
    assert set(rows) == {variable(field) for field in fields}
    for field in fields:
        default = getattr(Settings(), field)
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        words = {
            "store_url": "files under HOME",
            "s3_endpoint": "none",
            "redis_server": "the first found",
            "root_path": "none",
            "client_url": "none",
            "client_key": "none",
            "cors_origins": "none",
            "api_keys_file": "none",
            "trainer_metrics_file": "none",
            "pushgateway_url": "none",
            "session_cache_bytes": "a quarter of the memory",
            "grid_cache_bytes": "a 16th of the memory",
            "answer_cache_bytes": "a 32nd of the memory",
            "result_cache_bytes": "a 64th of the memory",
            "request_memory_bytes": "a fifth of the memory",
        }
        assert rows[variable(field)] == words.get(field, f"`{shown}`")


def test_every_route_is_documented(quickstart: Quickstart) -> None:
    """Each path and method of the OpenAPI document is documented, and no other."""
    document = quickstart.served.client.get("/schema/openapi.json").json()
    routes = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    rows = re.findall(r"^\| (GET|POST) `(/[^`]*)` \|", TEXT, re.MULTILINE)
    optional = re.compile(r"\[(.*?)\]")  # `/a[/b]/c` stands for `/a/c` and `/a/b/c`
    listed = {(m, optional.sub(part, path)) for m, path in rows for part in ("", r"\1")}
    assert listed == routes | {("GET", path) for path in ("/", "/llms.txt", "/schema")}  # pages


def test_every_metric_is_documented() -> None:
    """Each metric's name is documented, with its labels."""
    for metric in Metrics().registry.collect():
        if metric.name.startswith("grokprobe_"):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            assert f"`{name}" in TEXT, name
    assert "`grokprobe_requests_total{route,method,status}`" in TEXT


def metrics_of_a_training(trained: Trained) -> list[Metric]:
    """All that a training on a CPU tells."""
    metrics = TrainerMetrics()
    reporter = MeteredReporter(metrics, JsonReporter())
    reporter.start("tiny", 400, "cpu")
    reporter.step(0, 1.0)
    with Worker() as worker:
        reporter.publishing(worker)
    reporter.published(manifests(trained)[-1])
    return list(metrics.registry.collect())


def test_every_metric_of_the_trainer_is_documented(trained: Trained) -> None:
    """Each has a row, the one that needs a GPU too, and no other has one."""
    found = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in metrics_of_a_training(trained)
    }
    rows = re.findall(r"^\| (`grokprobe_trainer_.*?) \|", TEXT, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(grokprobe_trainer_\w+)", row)}
    assert listed == found | {"grokprobe_trainer_device_memory_bytes"}


def test_the_line_that_makes_a_key(tmp_path: Path) -> None:
    """Its first line goes into the file, its second is the key, and both fit."""
    [command] = re.findall(r"^(python3 -c '.*secrets.*')$", TEXT, re.MULTILINE)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    line, key = done.stdout.splitlines()
    (tmp_path / "keys").write_text(line)
    assert ApiKeys(tmp_path / "keys").identify(f"Bearer {key}").name == "NAME"


def test_every_measure_is_documented(trained: Trained) -> None:
    """The table of measures, its rows here and what is stored agree; a row says what it means."""
    manifest = json.loads(next(iter(trained.folder.rglob("manifest.json"))).read_text())
    completion = json.loads((trained.folder / "complete.json").read_text())
    stored = set(manifest["measures"]) | set(completion["checkpoints"][0]["measures"])
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGES["measures.md"], re.MULTILINE))
    assert list(rows) == [measure.name for measure in MEASURES]
    assert stored == {measure.name for measure in MEASURES if not measure.by_request}
    assert [m.name for m in MEASURES if m.meaning not in rows[m.name]] == []


def test_the_configuration_is_the_trainers_default() -> None:
    """The documented configuration decodes to the default, and names every field of it."""
    text, of_mlp, of_ensemble, _ = blocks("toml")
    assert decode_config(tomllib.loads(text), "docs/training.md") == Config()
    shown, default = tomllib.loads(text), msgspec.to_builtins(Config())
    assert {s: set(f) for s, f in shown.items()} == {s: set(f) for s, f in default.items()}
    assert tomllib.loads(of_mlp)["model"] == msgspec.to_builtins(MLPSection())
    lists = tomllib.loads(of_ensemble)["ensemble"]
    assert tuple(lists) == EnsembleSection.__struct_fields__


def test_every_preset_is_listed() -> None:
    """Each preset has a row in the table of presets, and no other has one."""
    section = PAGES["training.md"].split("## Presets")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in PRESETS.glob("*.toml"))


def test_the_picture_is_there() -> None:
    """Each picture that README or docs show is in the repository."""
    paths = re.findall(r"!\[[^]]*\]\(([^)]*)\)", TEXT)
    assert {path.removeprefix("docs/") for path in paths} == {
        "circle.gif",
        "emergence.svg",
        "learning.svg",
        "presets.svg",
        *(f"pictures/{name}.svg" for name in ("circle", "spectrum", "trajectory")),
    }
    begins = {".svg": b"<svg", ".gif": b"GIF89a", ".png": b"\x89PNG"}
    for path in map(Path, paths):
        assert (
            (ROOT / "docs" / str(path).removeprefix("docs/"))
            .read_bytes()
            .startswith(begins[path.suffix])
        )


def test_the_readme_is_short() -> None:
    """A promise, an example, links: what is longer has its page, which the README names."""
    assert len(README.splitlines()) <= 150
    assert set(re.findall(r"\]\(docs/(\w[^)]*\.md)\)", README)) == PAGES.keys() - {"index.md"}
