"""The images and the manifests, compared with the code: nothing is said twice in different words.

Parts of the same name, seen from outside: a named port, a probe's path, a setting, a target.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from grokprobe.settings import PREFIX, Settings, read_settings
from service.__main__ import DRAIN_S
from service.routes import health
from trainer.__main__ import parse
from trainer.config import load, preset

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SECRET = "grokprobe-credentials"  # noqa: S105
OLDEST = "1.30"  # the first that has preStop.sleep without a switch

Manifest = dict[str, Any]


# -- the images --------------------------------------------------------------------------------


def instructions(target: str) -> list[str]:
    """The instructions of a target, those of the stages that it stands on first."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    stages = re.findall(r"^FROM (\S+) AS (\S+)\n((?:(?!FROM ).*\n?)*)", joined, re.MULTILINE)
    base, body = {name: (base, body) for base, name, body in stages}[target]
    below = instructions(base) if base in {name for _, name, _ in stages} else [f"FROM {base}"]
    return below + [line for line in body.splitlines() if line and not line.startswith("#")]


def environment(target: str) -> dict[str, str]:
    """What ENV gives to a target."""
    lines = [line.removeprefix("ENV ") for line in instructions(target) if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile passes every rule, and no rule is switched off in it."""
    hadolint = Path(sys.executable).with_name("hadolint")
    strict = ["--no-color", "--disable-ignore-pragma", "--failure-threshold", "style"]
    command = [hadolint, *strict, "--config", os.devnull, ROOT / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("target", ["service", "trainer"])
def test_a_target_is_an_unprivileged_program(target: str) -> None:
    """It starts `python -m TARGET` as a numbered user who is not root."""
    lines = instructions(target)
    assert lines[0] == "FROM python:3.11-slim-bookworm"
    assert lines[-1] == f'ENTRYPOINT ["python", "-m", "{target}"]'
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert f"--target {target} --tag grokprobe:{target}-{VERSION} ." in DOCKERFILE


@pytest.mark.parametrize(("target", "other"), [("service", "trainer"), ("trainer", "service")])
def test_a_target_holds_its_own_package_only(target: str, other: str) -> None:
    """The trainer's code is not in the service's image, nor the other way round."""
    copied = [line for line in instructions(target) if line.startswith("COPY")]
    assert f"COPY {target} {target}" in copied
    assert "COPY grokprobe grokprobe" in copied
    assert not [line for line in copied if other in line]


def test_the_build_gets_what_it_copies_and_no_more() -> None:
    """`.dockerignore` admits exactly the sources of COPY, and all of them are there."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    assert {line[1:] for line in ignore if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def closure(requirement: Requirement, seen: set[str]) -> set[str]:
    """The names of all that installing a requirement installs here, itself included."""
    seen.add(requirement.name)
    for text in requires(requirement.name) or []:
        needed = Requirement(text)
        extras = requirement.extras or {""}
        wanted = any(needed.marker is None or needed.marker.evaluate({"extra": e}) for e in extras)
        if wanted and needed.name not in seen:
            closure(needed, seen)
    return seen


def test_the_service_image_has_no_torch() -> None:
    """Nothing that the extra `service` asks for, directly or indirectly, asks for torch."""
    found = closure(Requirement("grokprobe[service]"), set())
    assert {"litestar", "onnxruntime-gpu", "obstore"} <= found
    assert not {name for name in found if name.startswith(("torch", "nvidia"))}


def test_the_images_report_to_nobody(tmp_path: Path) -> None:
    """With the images' environment ONNX Runtime leaves no identity of the machine at home."""
    for target in ("service", "trainer"):
        given = {"ORT_DISABLE_TELEMETRY": environment(target)["ORT_DISABLE_TELEMETRY"]}
        command = [sys.executable, "-c", "import onnxruntime"]
        subprocess.run(command, env={"HOME": str(tmp_path), **given}, check=True)
        assert list(tmp_path.iterdir()) == []


# -- the manifests -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    """Every document that `kubectl kustomize k8s/base` renders."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed here: it renders k8s/base")
    command = ["kubectl", "kustomize", ROOT / "k8s/base"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def deployment(manifests: list[Manifest]) -> Manifest:
    return one(manifests, "Deployment")


@pytest.fixture(scope="module")
def job(manifests: list[Manifest]) -> Manifest:
    return one(manifests, "Job")


@pytest.fixture(scope="module")
def config(manifests: list[Manifest]) -> Manifest:
    return one(manifests, "ConfigMap")


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The only document of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def pod(manifest: Manifest) -> Manifest:
    """The pod that a Deployment or a Job makes."""
    spec: Manifest = manifest["spec"]["template"]["spec"]
    return spec


def container(manifest: Manifest) -> Manifest:
    """The only container of that pod."""
    (found,) = pod(manifest)["containers"]
    return dict(found)


def pods(manifests: list[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """Every pod with its only container."""
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "Job"):
            yield pod(manifest), container(manifest)


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_kubernetes_accepts_every_document(manifests: list[Manifest], version: str) -> None:
    """No field is misspelt or of the wrong type, in an old version and in a new one."""
    kinds = ["ConfigMap", "Deployment", "Job", "Service"]
    assert sorted(manifest["kind"] for manifest in manifests) == kinds
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_one_object_a_file_and_no_namespace(manifests: list[Manifest]) -> None:
    """Every file of the folder is rendered, and where it goes is said when it is applied."""
    files = {path.name for path in (ROOT / "k8s/base").iterdir()} - {"kustomization.yaml"}
    assert len(files) == len(manifests)
    assert not [manifest for manifest in manifests if "namespace" in manifest["metadata"]]


def test_the_port_is_the_services(deployment: Manifest) -> None:
    """The container's port is the one that an unset GROKPROBE_PORT means, and has a name."""
    assert container(deployment)["ports"] == [{"name": "http", "containerPort": Settings().port}]
    assert f"EXPOSE {Settings().port}" in instructions("service")


def test_the_service_finds_the_pods(manifests: list[Manifest], deployment: Manifest) -> None:
    """It sends to the named port of the Deployment's pods, and to no trainer."""
    spec = one(manifests, "Service")["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"].items() <= labels.items()
    trainers = one(manifests, "Job")["spec"]["template"]["metadata"]["labels"]
    assert not spec["selector"].items() <= trainers.items()
    assert [port["targetPort"] for port in spec["ports"]] == ["http"]


@pytest.mark.parametrize(
    ("probe", "handler"),
    [
        ("startupProbe", health.livez),
        ("livenessProbe", health.livez),
        ("readinessProbe", health.readyz),
    ],
)
def test_a_probe_asks_a_route(deployment: Manifest, probe: str, handler: Any) -> None:
    """The path is the handler's own, on the named port."""
    asked = container(deployment)[probe]["httpGet"]
    assert {asked["path"]} == handler.paths
    assert asked["port"] == "http"


def test_the_settings_are_accepted(config: Manifest) -> None:
    """Every name is a setting, every value can be used, and no pod keeps the data to itself."""
    settings = read_settings(config["data"])
    assert settings.host == "0.0.0.0"
    assert settings.store_url.startswith("s3://")
    assert settings.redis_url.startswith(("redis://", "rediss://"))


def test_a_setting_that_the_code_lacks_would_fail(config: Manifest) -> None:
    """All names have our prefix, without which read_settings would not look at them."""
    assert [name for name in config["data"] if not name.startswith(PREFIX)] == []


def test_a_pod_is_told_by_name_only(manifests: list[Manifest], config: Manifest) -> None:
    """Settings, then the secret, which wins; neither a value nor a secret stands in a manifest."""
    sources = [
        {"configMapRef": {"name": config["metadata"]["name"]}},
        {"secretRef": {"name": SECRET, "optional": True}},
    ]
    for _, program in pods(manifests):
        assert program["envFrom"] == sources
        assert "env" not in program
    assert "Secret" not in {manifest["kind"] for manifest in manifests}


def test_every_pod_is_locked_down(manifests: list[Manifest]) -> None:
    """No service links, no token, no root, no capability, nothing writable but its home."""
    for spec, program in pods(manifests):
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False
        profile = {"type": "RuntimeDefault"}
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": profile}
        assert program["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_home_of_the_images_is_mounted(manifests: list[Manifest]) -> None:
    """The one folder that an image writes to is an emptyDir in its pod."""
    for spec, program in pods(manifests):
        written = {environment(program["name"])[n] for n in ("GROKPROBE_HOME", "HOME", "TMPDIR")}
        assert written == {mount["mountPath"] for mount in program["volumeMounts"]}
        assert spec["volumes"] == [{"name": "home", "emptyDir": {}}]


def test_the_images_are_the_targets(manifests: list[Manifest]) -> None:
    """One repository, so that an overlay replaces one name; tags say the target and the version."""
    images = [program["image"] for _, program in pods(manifests)]
    assert images == [f"grokprobe:service-{VERSION}", f"grokprobe:trainer-{VERSION}"]


def test_the_service_stops_in_time(deployment: Manifest) -> None:
    """First nobody sends any more, then what is in flight ends, then it closes: all in the grace."""
    pause = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 10 <= pause <= 15
    assert pod(deployment)["terminationGracePeriodSeconds"] >= pause + DRAIN_S + 5


def test_the_session_cache_fits_into_the_memory(deployment: Manifest) -> None:
    """The limit leaves as much again for the program and what it computes."""
    limit = container(deployment)["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) * 2**30 >= 2 * Settings().session_cache_bytes


def test_the_trainer_gets_a_gpu_and_a_command_that_works(job: Manifest) -> None:
    """It asks for one GPU, and the trainer knows its arguments and its preset."""
    program = container(job)
    assert program["resources"]["limits"]["nvidia.com/gpu"] == 1
    load(preset(parse(program["args"]).preset))


def test_a_refused_trainer_is_not_started_again(job: Manifest) -> None:
    """A disruption does not count; exit status 2, and no other, fails the Job at once."""
    disruption, refusal = job["spec"]["podFailurePolicy"]["rules"]
    assert disruption["action"] == "Ignore"
    assert disruption["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert refusal["action"] == "FailJob"
    assert refusal["onExitCodes"] == {
        "containerName": container(job)["name"],
        "operator": "In",
        "values": [2],
    }
    assert pod(job)["restartPolicy"] == "Never"
