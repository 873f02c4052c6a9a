"""The commands of docs/kubernetes.md and docs/runbooks.md: run as far as no cluster is needed."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.test_manifests import IMAGES
from tests.support.manifests import KUBECTL, ROOT, Manifests, container, ours, rendered
from tests.test_docs_commands import LINES

PAGES = "\n".join((ROOT / f"docs/{name}.md").read_text() for name in ("kubernetes", "runbooks"))
KUBE = [line for line in LINES if line.startswith("kubectl ")]
CREATED = [line for line in KUBE if " create secret " in line or " create namespace " in line]
KINDS = {"deployment": "Deployment", "service": "Service", "cronjob": "CronJob"}


@pytest.mark.parametrize("line", CREATED)
def test_what_is_created(line: str, tmp_path: Path) -> None:
    """kubectl makes it, and pods of ours, or an overlay, look for it by that name."""
    (tmp_path / "api-keys").write_text("alice 00\n")
    command = [str(KUBECTL), *shlex.split(line)[1:], "--dry-run=client", "--output=yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    prod = rendered(ROOT / "k8s/overlays/prod")
    if made["kind"] == "Namespace":
        assert f"Namespace/{made['metadata']['name']}" in prod
    else:
        assert made["metadata"]["name"] in str(prod)


@pytest.mark.parametrize("line", [line for line in KUBE if " -k " in line])
def test_what_is_applied_can_be_rendered(line: str) -> None:
    """Each folder of `-k` is one of the checkout."""
    assert rendered(ROOT / line.rpartition(" -k ")[2])


def test_what_is_named_is_there() -> None:
    """Objects by kind and name; those of a place in capitals are the reader's."""
    base: Manifests = rendered(ROOT / "k8s/base")
    named = set(re.findall(r"\b(deployment|service|cronjob)[/ ](grokprobe[\w-]*)", PAGES))
    assert {kind for kind, _ in named} == set(KINDS)
    assert {f"{KINDS[kind]}/{name}" for kind, name in named} <= base.keys()


def test_the_images_that_are_loaded_are_those_of_dev() -> None:
    """Names and tags."""
    [line] = [line for line in LINES if line.startswith("kind load")]
    dev = {container(one)["image"] for one in ours(rendered(ROOT / "k8s/overlays/dev")).values()}
    assert set(line.split()[3:]) == dev
    assert {image.partition(":")[0] for image in dev} <= IMAGES.keys()


def test_every_folder_has_its_row() -> None:
    """Of the table at the top."""
    rows = {name for row in re.findall(r"^\| (`k8s/.*?) \|", PAGES, re.MULTILINE)
            for name in re.findall(r"`(k8s/[\w/-]+)`", row)}  # fmt: skip
    there = {
        str(path.parent.relative_to(ROOT)) for path in (ROOT / "k8s").rglob("kustomization.yaml")
    }
    assert rows == there - {"k8s/components/ingress/gateway"}
    assert "`k8s/components/ingress/gateway`" in PAGES
