"""The optional pieces of k8s/: rendered, valid, and of one mind with the base and the code."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from grokprobe.settings import read_settings
from tests.deploy.test_deploy import OLDEST, ROOT, container, mounts, pod
from trainer.arguments import parse_arguments
from trainer.config.sweep import load_sweep

COMPONENTS = ROOT / "k8s/components"
LATEST = kubernetes_validate.latest_version()

Manifest = dict[str, Any]


def rendered(folder: Path) -> dict[str, Manifest]:
    """What `kubectl kustomize` makes of a folder, by name of kind and object."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed here, and nothing else renders k8s/")
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = yaml.safe_load_all(done.stdout)
    return {f"{manifest['kind']}/{manifest['metadata']['name']}": manifest for manifest in found}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """The base with every component, as an overlay of somebody's own has them."""
    folder = tmp_path_factory.mktemp("k8s")
    shutil.copytree(ROOT / "k8s", folder / "k8s")
    own = folder / "k8s/own"
    own.mkdir()
    components = [f"../components/{path.name}" for path in sorted(COMPONENTS.iterdir())]
    text = {"resources": ["../base"], "components": components}
    (own / "kustomization.yaml").write_text(yaml.safe_dump(text))
    return rendered(own)


@pytest.fixture(scope="module")
def sweep(overlay: dict[str, Manifest]) -> Manifest:
    """The Indexed Job."""
    return overlay["Job/grokprobe-sweep"]


@pytest.mark.parametrize("version", [OLDEST, LATEST])
def test_kubernetes_accepts_a_sweep(version: str) -> None:
    """By itself beside the base, too: no field is misspelt, in an old version and a new one."""
    found = rendered(COMPONENTS / "sweep")
    assert sorted(found) == ["ConfigMap/grokprobe-sweep", "Job/grokprobe-sweep"]
    for manifest in found.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_sweep_has_an_index_for_each_cell(sweep: Manifest, overlay: dict[str, Manifest]) -> None:
    """The file that the pod mounts expands to as many runs as the Job completes."""
    spec, program = sweep["spec"], container(sweep)
    arguments = parse_arguments(program["args"])
    assert (arguments.command, arguments.index) == ("sweep", None)  # Kubernetes says which
    mounted = {mount["mountPath"]: mount["name"] for mount in mounts(sweep)}
    volumes = {volume["name"]: volume for volume in pod(sweep)["volumes"]}
    name = volumes[mounted[str(arguments.file.parent)]]["configMap"]["name"]
    [file] = overlay[f"ConfigMap/{name}"]["data"]
    assert file == arguments.file.name
    assert spec["completions"] == len(load_sweep(COMPONENTS / "sweep" / file).cells)
    assert spec["completionMode"] == "Indexed"
    assert 1 <= spec["parallelism"] <= spec["completions"]


def test_an_index_fails_alone(sweep: Manifest) -> None:
    """A disruption does not count, what was refused is not tried again, each index has tries."""
    assert sweep["spec"]["backoffLimitPerIndex"] == 2
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    refused = {"containerName": container(sweep)["name"], "operator": "In", "values": [2]}
    assert sweep["spec"]["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": disrupted},
        {"action": "FailIndex", "onExitCodes": refused},
    ]


def test_a_sweeps_pod_is_the_trainers_pod(sweep: Manifest, overlay: dict[str, Manifest]) -> None:
    """But for its arguments and its file: same image, settings, resources, rights and time."""
    train = overlay["Job/grokprobe-train-mainline"]
    ours, theirs = container(sweep), container(train)
    for name in ("args", "volumeMounts"):
        del ours[name], theirs[name]
    assert ours == theirs
    assert [mount for mount in mounts(sweep) if not mount.get("readOnly")] == mounts(train)
    one, other = ({k: v for k, v in pod(job).items() if k not in ("containers", "volumes")}
                  for job in (sweep, train))  # fmt: skip
    assert one == other
    assert pod(sweep)["volumes"][:1] == pod(train)["volumes"]


def test_the_monitor_finds_trainers_and_their_port(overlay: dict[str, Manifest]) -> None:
    """Its labels are those of both Jobs' pods and not the service's; the port is the setting's."""
    spec = overlay["PodMonitor/grokprobe-trainer"]["spec"]
    wanted = spec["selector"]["matchLabels"].items()
    jobs = [manifest for name, manifest in overlay.items() if name.startswith("Job/")]
    assert len(jobs) == 2
    settings = read_settings(overlay["ConfigMap/grokprobe-settings"]["data"])
    for job in jobs:
        assert wanted <= job["spec"]["template"]["metadata"]["labels"].items()
        assert container(job)["ports"] == [
            {"name": "metrics", "containerPort": settings.trainer_metrics_port}
        ]
    service = overlay["Deployment/grokprobe"]["spec"]["template"]["metadata"]["labels"]
    assert not wanted <= service.items()
    assert [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]] == ["metrics"]
