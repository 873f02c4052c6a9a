"""A real Prometheus with our rules, over services and trainers of a test."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.manifests import K8S
from tests.support.served import PATIENCE_S, eventually, free_port

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (.ci/prometheus)"
)

# A scrape waits for silent dependencies, so no shorter. What must hold for minutes at work holds at
# once here; windows of rates and increases stay as they are.
INTERVAL = "5s"
HOLDS = "1s"
LATE = ("> 300", "> 20")  # s since the last comparison of the index


def hurried_rules() -> dict[str, object]:
    """The rules of the manifest, whose conditions need not hold for long."""
    manifest = yaml.safe_load((K8S / "components/monitoring/prometheusrule.yaml").read_text())
    for group in manifest["spec"]["groups"]:
        for rule in group["rules"]:
            rule["for"] = HOLDS
            rule["expr"] = rule["expr"].replace(*LATE)
    found: dict[str, object] = manifest["spec"]
    return found


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    client: httpx.Client

    def ask(self, query: str) -> list[dict[str, object]]:
        """The samples that a query has now."""
        answer = self.client.get("/api/v1/query", params={"query": query}).json()
        found: list[dict[str, object]] = answer["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The alerts that fire now, by name."""
        alerts = self.client.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def is_quiet(self) -> bool:
        """Whether everything is scraped twice over and nothing fires, now or soon."""
        return eventually(
            lambda: (
                self.ask("min(count_over_time(up[5m])) >= 2")
                and self.ask("min(up) == 1")
                and not self.firing()
            )
        )

    def fires(self, *alerts: str) -> bool:
        """Whether these fire in the end."""
        return eventually(lambda: set(alerts) <= self.firing())


@contextmanager
def watching(folder: Path, *targets: str) -> Iterator[Prometheus]:
    """A Prometheus that scrapes these addresses, such as 127.0.0.1:8000."""
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump(hurried_rules()))
    scrape = {"job_name": "grokprobe", "static_configs": [{"targets": list(targets)}]}
    timing = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": "1s"}
    config = {"global": timing, "rule_files": ["rules.yml"], "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            assert eventually(lambda: process.poll() is not None or _is_ready(client))
            assert process.poll() is None, (folder / "log").read_text()
            yield Prometheus(client)
    finally:
        process.kill()
        process.wait()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False
