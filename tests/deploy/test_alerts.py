"""Alerts and dashboard: promtool's word on each rule, every metric in them one of the code."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from service import health
from service.telemetry.metrics import Metrics
from tests.support.manifests import K8S, ROOT
from tests.support.trained import Trained
from tests.test_readme import metrics_of_a_training
from trainer.reporting.progress import Trouble

MONITORING = K8S / "components/monitoring"
SPEC = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())["spec"]
RULES = [rule for group in SPEC["groups"] for rule in group["rules"]]
ALERTS = [rule["alert"] for rule in RULES]
CASES = Path(__file__).with_name("alerts.yml")
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments: str | Path) -> None:
    """Run it; what it complains of is the failure."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_each_alert_fires_when_it_should(tmp_path: Path) -> None:
    """Not while all is well, not before its time, and in its own words."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(SPEC))
    shutil.copy(CASES, tmp_path)
    promtool("check", "rules", tmp_path / "rules.yml")
    promtool("test", "rules", tmp_path / CASES.name)


def test_each_alert_has_cases() -> None:
    """One in which it fires and one in which it does not."""
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"]
             for case in test["alert_rule_test"]]  # fmt: skip
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(ALERTS)
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == set(ALERTS)


def test_each_alert_is_seen_to_fire() -> None:
    """By a real fault, in tests/e2e."""
    faults = (ROOT / "tests/e2e/test_alerts_fire.py").read_text()
    assert {name for name in ALERTS if f'"{name}"' not in faults} == set()


def test_each_alert_has_its_page() -> None:
    """A section of the runbooks by its name, in the order of the rules, and no other."""
    assert re.findall(r"^### (Grokprobe\w+)$", RUNBOOKS, re.MULTILINE) == ALERTS
    for rule in RULES:
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
        page = f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook_url"] == page
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_each_page_says_what_to_do() -> None:
    """What clients see, what to look at, and what to do."""
    pages = re.split(r"^### Grokprobe\w+$", RUNBOOKS, flags=re.MULTILINE)[1:]
    for name, page in zip(ALERTS, pages, strict=True):
        for part in ("**Means**", "**Look**", "**Do**"):
            assert part in page, f"{name}: {part}"


def known(trained: Trained) -> dict[str, set[str]]:
    """Every name of a series in the code, with its labels where it has samples."""
    found: dict[str, set[str]] = {}
    for metric in [*Metrics().registry.collect(), *metrics_of_a_training(trained)]:
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names = [f"{metric.name}{end}" for end in ends.get(metric.type, [""])]
        found |= {name: set() for name in names}
        for sample in metric.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    found["grokprobe_trainer_device_memory_bytes"] = {"run"}  # where there is a GPU
    return found


OF_A_TARGET = {"job", "instance", "pod", "namespace", "app_kubernetes_io_instance"}
SOURCE = r"\b((?:grokprobe|process)_\w+)(?:\{([^}]*)\})?"


@pytest.mark.parametrize("text", [*(rule["expr"] for rule in RULES), *QUERIES])
def test_every_metric_is_one_of_the_code(text: str, trained: Trained) -> None:
    """By name and by the labels that it is chosen by."""
    names = known(trained)
    found = re.findall(SOURCE, text)
    assert found or text.startswith("up")
    for name, chosen in found:
        assert name in names, name
        labels = set(re.findall(r"(\w+)\s*(?:=|!)", chosen)) - OF_A_TARGET
        if labels and names[name]:
            assert labels <= names[name], name


def test_what_is_chosen_by_is_what_the_code_says() -> None:
    """Values of labels: dependencies, routes of probes, reasons of refusals, kinds of warnings."""
    text = "\n".join(rule["expr"] for rule in RULES)
    chosen = {
        label: {value for group in re.findall(rf'\b{label}(?:=|!=|=~|!~)"([^"]*)"', text)
                for value in group.split("|")}
        for label in ("dependency", "route", "reason", "kind")
    }  # fmt: skip
    source = "\n".join(path.read_text() for path in (ROOT / "service").rglob("*.py"))
    assert chosen["dependency"] == {"object_storage", "catalogue", "events", "inference"}
    assert all(f'"{name}": ' in source for name in chosen["dependency"])
    routes = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    assert chosen["route"] <= routes.keys()
    assert chosen["route"] >= {path for h in (health.livez, health.readyz) for path in h.paths}
    assert all(f'"{reason}"' in source for reason in chosen["reason"])
    assert chosen["kind"] <= set(get_args(Trouble))


def test_the_autoscaler_of_the_comment_asks_for_a_metric() -> None:
    """KEDA's query names one of the service."""
    text = (K8S / "components/autoscaling/horizontalpodautoscaler.yaml").read_text()
    [name] = re.findall(r"query: sum\((\w+)\{", text)
    assert name in {metric.name for metric in Metrics().registry.collect()}


def test_the_dashboard_shows_every_metric(trained: Trained) -> None:
    """Of our own, but for what only tells when, and what a rate already says."""
    shown = {name for text in QUERIES for name, _ in re.findall(SOURCE, text)}
    ours = {name for name in known(trained) if name.startswith("grokprobe_")}
    apart = re.compile(r"_(sum|count|created|info|timestamp_seconds)$|_trainer_(train_loss|"
                       r"checkpoint_step|run_status|published_checkpoints_total|"
                       r"publication_failures_total)|grids_total")  # fmt: skip
    assert {name for name in ours - shown if not apart.search(name)} == set()


def test_the_dashboard_is_whole() -> None:
    """Panels have numbers of their own and do not overlap; variables are defined."""
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == defined
