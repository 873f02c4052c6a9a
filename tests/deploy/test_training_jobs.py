"""The Jobs that train: arguments that the trainer knows, and what its exit statuses mean."""

import pytest

from grokprobe.settings import read_settings
from tests.support.manifests import (
    COMPONENTS,
    K8S,
    Manifest,
    Manifests,
    container,
    labels,
    mounts,
    overlay,
    pod,
)
from trainer.arguments import parse_arguments
from trainer.config.schema import load_config, preset
from trainer.config.sweep import load_sweep

DISRUPTED = [{"type": "DisruptionTarget", "status": "True"}]
REFUSED, AWAY, SUPERSEDED, BEHIND = 2, 75, 76, 77


@pytest.fixture
def everything() -> Manifests:
    """The base with every component."""
    return overlay(*COMPONENTS)


@pytest.fixture
def train(everything: Manifests) -> Manifest:
    """One training."""
    return everything["Job/grokprobe-train-mainline"]


@pytest.fixture
def sweep(everything: Manifests) -> Manifest:
    """The Indexed Job."""
    return everything["Job/grokprobe-sweep"]


def outcomes(job: Manifest) -> dict[int, str]:
    """What the Job does after each exit status that a rule names; the first rule counts."""
    found: dict[int, str] = {}
    for rule in job["spec"]["podFailurePolicy"]["rules"]:
        for status in rule.get("onExitCodes", {}).get("values", []):
            assert rule["onExitCodes"]["containerName"] == container(job)["name"]
            assert rule["onExitCodes"]["operator"] == "In"
            found.setdefault(status, rule["action"])
    return found


def test_a_trainer_gets_a_gpu_and_arguments_that_it_knows(train: Manifest) -> None:
    """It asks for one GPU, and its command line names a preset that loads."""
    program = container(train)
    assert program["resources"]["limits"]["nvidia.com/gpu"] == 1
    arguments = parse_arguments(program["args"])
    load_config(preset(arguments.preset))
    assert arguments.resume  # a pod that takes the place of another goes on


@pytest.mark.parametrize("kind", ["train", "sweep"])
def test_what_an_exit_status_means(everything: Manifests, kind: str) -> None:
    """A disruption and storage that is away do not count; what will not be otherwise ends it."""
    [job] = [m for n, m in everything.items() if n.startswith(f"Job/grokprobe-{kind}")]
    ends = "FailJob" if kind == "train" else "FailIndex"  # the other cells may be right
    first = job["spec"]["podFailurePolicy"]["rules"][0]
    assert first == {"action": "Ignore", "onPodConditions": DISRUPTED}
    assert outcomes(job) == {REFUSED: ends, SUPERSEDED: ends, AWAY: "Ignore", BEHIND: "Count"}
    assert pod(job)["restartPolicy"] == "Never"
    assert job["spec"]["backoffLimit" if kind == "train" else "backoffLimitPerIndex"] == 3


def test_a_sweep_has_an_index_for_each_cell(sweep: Manifest, everything: Manifests) -> None:
    """The file that the pod mounts expands to as many runs as the Job completes."""
    spec, program = sweep["spec"], container(sweep)
    arguments = parse_arguments(program["args"])
    assert (arguments.command, arguments.index) == ("sweep", None)  # Kubernetes says which
    mounted = {mount["mountPath"]: mount["name"] for mount in mounts(sweep)}
    volumes = {volume["name"]: volume for volume in pod(sweep)["volumes"]}
    name = volumes[mounted[str(arguments.file.parent)]]["configMap"]["name"]
    [file] = everything[f"ConfigMap/{name}"]["data"]
    assert file == arguments.file.name
    assert spec["completions"] == len(load_sweep(K8S / "components/sweep" / file).cells)
    assert spec["completionMode"] == "Indexed"
    assert 1 <= spec["parallelism"] <= spec["completions"]


def test_a_sweeps_pod_is_the_trainers_pod(sweep: Manifest, train: Manifest) -> None:
    """But for its arguments and its file: same image, settings, resources, rights and time."""
    ours, theirs = container(sweep), container(train)
    for name in ("args", "volumeMounts"):
        del ours[name], theirs[name]
    assert ours == theirs
    assert [mount for mount in mounts(sweep) if not mount.get("readOnly")] == mounts(train)
    one, other = ({k: v for k, v in pod(job).items() if k not in ("containers", "volumes")}
                  for job in (sweep, train))  # fmt: skip
    assert one == other
    assert pod(sweep)["volumes"][:1] == pod(train)["volumes"]
    assert labels(sweep) == labels(train)


def test_the_monitors_find_their_pods_and_ports(everything: Manifests) -> None:
    """That of trainers both Jobs' pods, the other the Service; ports are the settings'."""
    spec = everything["PodMonitor/grokprobe-trainer"]["spec"]
    wanted = spec["selector"]["matchLabels"].items()
    settings = read_settings(everything["ConfigMap/grokprobe-settings"]["data"])
    jobs = [one for name, one in everything.items() if name.startswith("Job/")]
    assert len(jobs) == 2
    for job in jobs:
        assert wanted <= labels(job).items()
        assert container(job)["ports"] == [
            {"name": "metrics", "containerPort": settings.trainer_metrics_port}
        ]
    assert not wanted <= labels(everything["Deployment/grokprobe"]).items()
    assert [endpoint["port"] for endpoint in spec["podMetricsEndpoints"]] == ["metrics"]

    service, spec = everything["Service/grokprobe"], everything["ServiceMonitor/grokprobe"]["spec"]
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [port], [endpoint] = service["spec"]["ports"], spec["endpoints"]
    assert endpoint["port"] == port["name"]
    assert endpoint["path"] == "/metrics"
    assert settings.open_metrics  # or it would need a key
