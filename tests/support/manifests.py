"""What kubectl makes of the folders of k8s/, and how a test looks into it."""

import copy
import functools
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
KUBECTL = Path(sys.executable).with_name("kubectl")  # of the wheel that the extra `dev` brings

Manifest = dict[str, Any]
Manifests = dict[str, Manifest]  # by kind and name: `Deployment/grokprobe`

WITH_PODS = ("Deployment", "Job", "CronJob")
COMPONENTS = sorted(
    path.parent.relative_to(K8S / "components").as_posix()
    for path in (K8S / "components").rglob("kustomization.yaml")
)
OVERLAYS = sorted(path.parent.name for path in (K8S / "overlays").glob("*/kustomization.yaml"))


@functools.cache
def _made(folder: Path) -> Manifests:
    command = [str(KUBECTL), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    documents = list(yaml.safe_load_all(done.stdout))
    found = {f"{one['kind']}/{one['metadata']['name']}": one for one in documents}
    assert len(found) == len(documents)
    return found


def rendered(folder: Path) -> Manifests:
    """What `kubectl kustomize` makes of a folder: new objects each time."""
    return copy.deepcopy(_made(folder))


@functools.cache
def _overlay(components: tuple[str, ...], suffix: str) -> Manifests:
    with TemporaryDirectory() as name:
        folder = Path(name)
        text = {
            "resources": [str(_relative(K8S / "base", folder))],
            "components": [str(_relative(K8S / "components" / one, folder)) for one in components],
            "nameSuffix": suffix,
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(text))
        return rendered(folder)


def overlay(*components: str, suffix: str = "") -> Manifests:
    """The base with components, as an overlay of somebody's own has them: new objects each time."""
    return copy.deepcopy(_overlay(components, suffix))


def _relative(path: Path, start: Path) -> Path:
    """Kustomize takes no absolute path; this goes up to the root and down again."""
    up = Path(*[".."] * (len(start.resolve().parts) - 1))
    return up / path.resolve().relative_to("/")


def pod(manifest: Manifest) -> Manifest:
    """The pod that a Deployment, a Job or a CronJob makes."""
    spec: Manifest = template(manifest)["spec"]
    return spec


def template(manifest: Manifest) -> Manifest:
    """Its template, with the labels of its pods."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Manifest = spec["template"]
    return found


def labels(manifest: Manifest) -> dict[str, str]:
    """The labels of its pods."""
    return dict(template(manifest)["metadata"]["labels"])


def container(manifest: Manifest) -> Manifest:
    """The only container of that pod."""
    (found,) = pod(manifest)["containers"]
    return dict(found)


def mounts(manifest: Manifest) -> list[Manifest]:
    """What is mounted into that container."""
    return list(container(manifest)["volumeMounts"])


def with_pods(manifests: Manifests) -> Manifests:
    """Those that make pods."""
    return {name: one for name, one in manifests.items() if one["kind"] in WITH_PODS}


def ours(manifests: Manifests) -> Manifests:
    """Those that make pods of our own images."""
    found = with_pods(manifests)
    return {name: m for name, m in found.items() if "grokprobe-" in container(m)["image"]}
