"""The README is code: its commands run, and it knows every setting, route, metric and measure."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grokprobe.settings import Settings, variable
from service.auth import Keys
from service.metrics import Metrics
from tests.served import Quickstart
from tests.trained import Trained, manifests
from trainer.architecture import MLPSection
from trainer.config import PRESETS, Config, decode
from trainer.ensemble import EnsembleSection
from trainer.metrics import MeteredReporter, TrainerMetrics
from trainer.progress import JsonReporter
from trainer.worker import Worker

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
HOST = "127.0.0.1:8000"
BASE = f"http://{HOST}"


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each `$` line of the console blocks with the output that follows it."""
    found = []
    for block in blocks("console"):
        for part in block.split("$ ", 1)[1].split("\n$ "):
            command, _, output = part.partition("\n")
            found.append((command, output.strip()))
    return found


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
    """The parser finds the README's curl lines and their output."""
    assert len(commands()) >= 8
    assert all(command.startswith("curl ") and output for command, output in commands())


@pytest.mark.parametrize(("command", "output"), commands())
def test_curl_lines(quickstart: Quickstart, tmp_path: Path, command: str, output: str) -> None:
    """Each line, run against a real service, gives the fields that the README shows."""
    done = subprocess.run(
        ["bash", "-c", command.replace(BASE, quickstart.served.url)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reading(done.stdout.strip()) == reading(output)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks(quickstart: Quickstart, tmp_path: Path, code: str) -> None:
    """Each Python block runs where grokprobe cannot be imported, and prints what it says."""
    blocked = "import sys\nsys.modules['grokprobe'] = None\n"
    address = quickstart.served.url.removeprefix("http://")
    done = subprocess.run(
        [sys.executable, "-c", blocked + code.replace(HOST, address)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = re.search(r"print\(.*\)  # ([^:\n]*)", code)
    assert said is not None
    assert done.stdout.strip() == said[1]


def test_every_setting_is_documented_with_its_default() -> None:
    """The settings table and the code agree, name by name and default by default."""
    rows = dict(re.findall(r"^\| `(GROKPROBE_\w+)` \| (.*?) \|", README, re.MULTILINE))
    fields = Settings.__struct_fields__
    assert set(rows) == {variable(field) for field in fields}
    for field in fields:
        default = getattr(Settings(), field)
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        words = {
            "store_url": "files under HOME",
            "s3_endpoint": "none",
            "cors_origins": "none",
            "api_keys_file": "none",
            "trainer_metrics_file": "none",
            "pushgateway_url": "none",
        }
        assert rows[variable(field)] == words.get(field, f"`{shown}`")


def test_every_route_is_documented(quickstart: Quickstart) -> None:
    """Each path and method of the OpenAPI document stands in the README, and no other."""
    document = quickstart.served.client.get("/schema/openapi.json").json()
    routes = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    rows = re.findall(r"^\| (GET|POST) `(/[^`]*)` \|", README, re.MULTILINE)
    optional = re.compile(r"\[(.*?)\]")  # `/a[/b]/c` stands for `/a/c` and `/a/b/c`
    listed = {(m, optional.sub(part, path)) for m, path in rows for part in ("", r"\1")}
    assert listed == routes | {("GET", "/schema")}


def test_every_metric_is_documented() -> None:
    """Each metric's name stands in the README, with its labels."""
    for metric in Metrics().registry.collect():
        if metric.name.startswith("grokprobe_"):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            assert f"`{name}" in README, name
    assert "`grokprobe_requests_total{route,method,status}`" in README


def test_every_metric_of_the_trainer_is_documented(trained: Trained) -> None:
    """Each has a row, the one that needs a GPU too, and no other has one."""
    metrics = TrainerMetrics()
    reporter = MeteredReporter(metrics, JsonReporter())
    reporter.start("tiny", 400, "cpu")
    reporter.step(0, 1.0)
    with Worker() as worker:
        reporter.publishing(worker)
    reporter.published(manifests(trained)[-1])
    found = {
        f"{metric.name}_total" if metric.type == "counter" else metric.name
        for metric in metrics.registry.collect()
    }
    rows = re.findall(r"^\| (`grokprobe_trainer_.*?) \|", README, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(grokprobe_trainer_\w+)", row)}
    assert listed == found | {"grokprobe_trainer_device_memory_bytes"}


def test_the_line_that_makes_a_key(tmp_path: Path) -> None:
    """Its first line goes into the file, its second is the key, and both fit."""
    [command] = re.findall(r"^    (python3 -c '.*secrets.*')$", README, re.MULTILINE)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    line, key = done.stdout.splitlines()
    (tmp_path / "keys").write_text(line)
    assert Keys(tmp_path / "keys").identify(f"Bearer {key}").name == "NAME"


def test_every_measure_is_documented(trained: Trained) -> None:
    """Each measure that is stored has a row, and no other has one."""
    manifest = json.loads(next(iter(trained.folder.rglob("manifest.json"))).read_text())
    completion = json.loads((trained.folder / "complete.json").read_text())
    stored = set(manifest["measures"]) | set(completion["checkpoints"][0]["measures"])
    section = README.split("### Measures")[1].split("###")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == stored


def test_the_configuration_is_the_trainers_default() -> None:
    """The README's configuration decodes to the default, and names every field of it."""
    text, of_mlp, of_ensemble = blocks("toml")
    assert decode(tomllib.loads(text), "README.md") == Config()
    shown, default = tomllib.loads(text), msgspec.to_builtins(Config())
    assert {s: set(f) for s, f in shown.items()} == {s: set(f) for s, f in default.items()}
    assert tomllib.loads(of_mlp)["model"] == msgspec.to_builtins(MLPSection())
    lists = tomllib.loads(of_ensemble)["ensemble"]
    assert tuple(lists) == EnsembleSection.__struct_fields__


def test_every_preset_is_listed() -> None:
    """Each preset has a row in the table of presets, and no other has one."""
    section = README.split("## Train your own")[1].split("```toml")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in PRESETS.glob("*.toml"))


def test_the_picture_is_there() -> None:
    """Each picture that the README shows is in the repository."""
    paths = re.findall(r"!\[[^]]*\]\(([^)]*)\)", README)
    assert paths == ["docs/emergence.svg", "docs/presets.svg"]
    assert all((ROOT / path).read_text().startswith("<svg") for path in paths)
