"""compose/rules.yml, the alerts of the cluster as Prometheus itself reads them: `make rules`."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "k8s/components/monitoring/prometheusrule.yaml"
TARGET = ROOT / "compose/rules.yml"


def rules() -> str:
    """The groups of the PrometheusRule, which is the one place where they are written."""
    spec = yaml.safe_load(SOURCE.read_text())["spec"]
    head = "# From k8s/components/monitoring/prometheusrule.yaml, by `make rules`.\n"
    return head + yaml.safe_dump(spec, sort_keys=False, width=100)


if __name__ == "__main__":
    TARGET.write_text(rules())
