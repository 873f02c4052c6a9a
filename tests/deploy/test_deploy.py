"""The images and the manifests, compared with the code and with each other."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from grokprobe.settings import PREFIX, Settings, read_settings
from service import health
from service.http.routing import ANYBODY
from service.server.server import CLOSE_S, DRAIN_S
from trainer.arguments import parse_arguments
from trainer.config.schema import load_config, preset

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PROGRAMS = {"Deployment": "service", "Job": "trainer"}
PROBES = {"startup": health.livez, "liveness": health.livez, "readiness": health.readyz}
OLDEST = "1.30"  # the first Kubernetes that has preStop.sleep without a switch

Manifest = dict[str, Any]
Manifests = dict[str, Manifest]  # by kind


def instructions(target: str) -> list[str]:
    """The instructions of a target, after those of the stages that it stands on."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    stages = re.findall(r"^FROM (\S+) AS (\S+)\n((?:(?!FROM ).*\n?)*)", joined, re.MULTILINE)
    base, body = {name: (base, body) for base, name, body in stages}[target]
    below = instructions(base) if base in {name for _, name, _ in stages} else [f"FROM {base}"]
    return below + [line for line in body.splitlines() if line and not line.startswith("#")]


def environment(target: str) -> dict[str, str]:
    """What ENV gives to a target."""
    lines = [line.removeprefix("ENV ") for line in instructions(target) if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_hadolint_has_nothing_to_say(tmp_path: Path) -> None:
    """The Dockerfile passes every rule, and no rule is switched off."""
    hadolint = Path(sys.executable).with_name("hadolint")
    strict = ["--disable-ignore-pragma", "--failure-threshold", "style"]
    command = [str(hadolint), *strict, str(ROOT / "Dockerfile")]
    # From an empty folder: there is no configuration that could switch one off.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(("target", "other"), [("service", "trainer"), ("trainer", "service")])
def test_a_target_is_its_own_program_and_not_root(target: str, other: str) -> None:
    """It starts `python -m TARGET` as a numbered user and lacks the other program's code."""
    lines = instructions(target)
    assert lines[0] == "FROM python:3.11-slim-bookworm"
    assert lines[-1] == f'ENTRYPOINT ["python", "-m", "{target}"]'
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert {"COPY grokprobe grokprobe", f"COPY {target} {target}"} <= set(lines)
    assert not [line for line in lines if other in line]
    assert f"--target {target} --tag grokprobe:{target}-{VERSION} ." in DOCKERFILE


def test_the_build_gets_what_it_copies_and_no_more() -> None:
    """`.dockerignore` admits exactly the sources of COPY, and all of them are there."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def closure(requirement: Requirement, seen: set[str]) -> set[str]:
    """The names of all that a requirement brings with it here, itself included."""
    seen.add(requirement.name)
    for needed in map(Requirement, requires(requirement.name) or []):
        chosen = [{"extra": extra} for extra in requirement.extras or {""}]
        wanted = needed.marker is None or any(map(needed.marker.evaluate, chosen))
        if wanted and needed.name not in seen:
            closure(needed, seen)
    return seen


def test_the_service_image_has_no_torch() -> None:
    """Nothing that the extra `service` asks for, directly or indirectly, asks for torch."""
    found = closure(Requirement("grokprobe[service]"), set())
    assert {"litestar", "onnxruntime-gpu", "numpy"} <= found
    assert not [name for name in found if name.startswith(("torch", "nvidia"))]


@pytest.mark.parametrize("target", ["service", "trainer"])
def test_an_image_reports_to_nobody(target: str, tmp_path: Path) -> None:
    """With its environment ONNX Runtime writes no identity of the machine, and so sends none."""
    switch = "ORT_DISABLE_TELEMETRY"
    given = {"HOME": str(tmp_path), switch: environment(target)[switch]}
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=given, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    """Every document that `kubectl kustomize k8s/base` renders, one of a kind."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed here, and nothing else renders k8s/base")
    command = ["kubectl", "kustomize", str(ROOT / "k8s/base")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rendered = list(yaml.safe_load_all(done.stdout))
    found = {manifest["kind"]: manifest for manifest in rendered}
    assert len(found) == len(rendered)
    return found


def pod(manifest: Manifest) -> Manifest:
    """The pod that a Deployment or a Job makes."""
    spec: Manifest = manifest["spec"]["template"]["spec"]
    return spec


def container(manifest: Manifest) -> Manifest:
    """The only container of that pod."""
    (found,) = pod(manifest)["containers"]
    return dict(found)


def mounts(manifest: Manifest) -> list[Manifest]:
    """What is mounted into that container."""
    return list(container(manifest)["volumeMounts"])


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_kubernetes_accepts_every_document(manifests: Manifests, version: str) -> None:
    """No field is misspelt or of the wrong type, in an old version and in a new one."""
    assert sorted(manifests) == ["ConfigMap", "Deployment", "Job", "Service"]
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_one_object_a_file_and_no_namespace(manifests: Manifests) -> None:
    """Every file of the folder is rendered; where it goes is said when it is applied."""
    files = {path.name for path in (ROOT / "k8s/base").iterdir()} - {"kustomization.yaml"}
    assert len(files) == len(manifests)
    assert not [kind for kind, found in manifests.items() if "namespace" in found["metadata"]]


def test_the_port_is_the_services_own(manifests: Manifests) -> None:
    """The container's port is what an unset GROKPROBE_PORT means, and has a name."""
    ports = container(manifests["Deployment"])["ports"]
    assert ports == [{"name": "http", "containerPort": Settings().port}]
    assert f"EXPOSE {Settings().port}" in instructions("service")


def test_the_service_finds_the_right_pods(manifests: Manifests) -> None:
    """It sends to the named port of the Deployment's pods, and never to a trainer."""
    spec = manifests["Service"]["spec"]
    labels = {kind: manifests[kind]["spec"]["template"]["metadata"]["labels"] for kind in PROGRAMS}
    assert spec["selector"].items() <= labels["Deployment"].items()
    assert not spec["selector"].items() <= labels["Job"].items()
    assert [port["targetPort"] for port in spec["ports"]] == ["http"]


def test_the_probes_ask_routes(manifests: Manifests) -> None:
    """Each asks a handler's own path, on the named port."""
    program = container(manifests["Deployment"])
    for probe, handler in PROBES.items():
        asked = program[f"{probe}Probe"]["httpGet"]
        assert {asked["path"]} == handler.paths
        assert asked["port"] == "http"


def test_the_settings_are_accepted(manifests: Manifests) -> None:
    """Every name is a setting, every value can be used, and no pod keeps what it publishes."""
    data = manifests["ConfigMap"]["data"]
    assert not [name for name in data if not name.startswith(PREFIX)]
    settings = read_settings(data)
    assert settings.host == "0.0.0.0"
    assert settings.store_url.startswith("s3://")
    assert settings.redis_url.startswith(("redis://", "rediss://"))


def test_the_service_asks_for_keys(manifests: Manifests) -> None:
    """They come from a secret that must be there, mounted where the settings look for the file."""
    file = Path(read_settings(manifests["ConfigMap"]["data"]).api_keys_file)
    folders = {mount["mountPath"]: mount["name"] for mount in mounts(manifests["Deployment"])}
    volumes = {volume["name"]: volume for volume in pod(manifests["Deployment"])["volumes"]}
    assert volumes[folders[str(file.parent)]]["secret"] == {"secretName": "grokprobe-api-keys"}
    documented = (ROOT / "docs/operations.md").read_text()
    assert f"grokprobe-api-keys --from-file={file.name}" in documented
    assert all(handler.opt == ANYBODY for handler in PROBES.values())


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_pod_is_told_by_name_only(manifests: Manifests, kind: str) -> None:
    """The settings, then the secret, which wins: no value and no secret stands in a pod."""
    program = container(manifests[kind])
    assert program["envFrom"] == [
        {"configMapRef": {"name": manifests["ConfigMap"]["metadata"]["name"]}},
        {"secretRef": {"name": "grokprobe-credentials", "optional": True}},
    ]
    assert "env" not in program


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_pod_is_locked_down(manifests: Manifests, kind: str) -> None:
    """No service links, no token, no root, no capability, nothing writable but its home."""
    spec, program = pod(manifests[kind]), container(manifests[kind])
    assert spec["enableServiceLinks"] is spec["automountServiceAccountToken"] is False
    profile = {"type": "RuntimeDefault"}
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": profile}
    assert program["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    written = {environment(PROGRAMS[kind])[n] for n in ("GROKPROBE_HOME", "HOME", "TMPDIR")}
    writable = [mount for mount in mounts(manifests[kind]) if not mount.get("readOnly")]
    assert [(mount["name"], mount["mountPath"]) for mount in writable] == [("home", *written)]
    assert spec["volumes"][0] == {"name": "home", "emptyDir": {}}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_pod_runs_its_target(manifests: Manifests, kind: str) -> None:
    """One repository, so that an overlay replaces one name; the tag is target and version."""
    program = container(manifests[kind])
    assert program["image"] == f"grokprobe:{PROGRAMS[kind]}-{VERSION}"
    assert "command" not in program  # the image's own


def test_the_service_stops_in_time(manifests: Manifests) -> None:
    """Nobody sends any more, what is in flight ends, all is closed: within the grace period."""
    pause = container(manifests["Deployment"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 10 <= pause <= 15
    needed = pause + DRAIN_S + CLOSE_S
    assert pod(manifests["Deployment"])["terminationGracePeriodSeconds"] > needed


def test_the_session_cache_fits_into_the_memory(manifests: Manifests) -> None:
    """The limit leaves as much again for the program and for what it computes."""
    limit = container(manifests["Deployment"])["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) * 2**30 >= 2 * Settings().session_cache_bytes


def test_the_trainer_gets_a_gpu_and_arguments_that_it_knows(manifests: Manifests) -> None:
    """It asks for one GPU, and its command line names a preset that loads."""
    program = container(manifests["Job"])
    assert program["resources"]["limits"]["nvidia.com/gpu"] == 1
    load_config(preset(parse_arguments(program["args"]).preset))


def test_a_refused_trainer_is_not_started_again(manifests: Manifests) -> None:
    """A disruption does not count; exit status 2, and no other, fails the Job at once."""
    job = manifests["Job"]
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    refused = {"containerName": container(job)["name"], "operator": "In", "values": [2]}
    assert job["spec"]["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": disrupted},
        {"action": "FailJob", "onExitCodes": refused},
    ]
    assert pod(job)["restartPolicy"] == "Never"
