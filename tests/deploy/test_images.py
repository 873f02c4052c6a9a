"""The Dockerfile, its locks and the extras behind them, compared with the code and each other."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grokprobe.settings import Settings
from tests.support.served import serving
from tests.support.trained import settings_at
from tools import images, locks
from tools.locks import CUDA, LOCKS, packages

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS: dict[str, str] = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
}
PROGRAMS = {target: target.removesuffix("-cpu") for target in images.TARGETS}


def stages() -> dict[str, tuple[str, list[str]]]:
    """What each stage stands on, and its own instructions."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    found = re.findall(r"^FROM (\S+) AS (\S+)\n((?:(?!FROM ).*\n?)*)", joined, re.MULTILINE)
    return {
        name: (base, [line for line in body.splitlines() if line and not line.startswith("#")])
        for base, name, body in found
    }


def instructions(target: str) -> list[str]:
    """The instructions of a target, after those of the stages that it stands on."""
    base, lines = stages()[target]
    below = instructions(base) if base in stages() else [f"FROM {base}"]
    return below + lines


def environment(target: str) -> dict[str, str]:
    """What ENV gives to a target."""
    lines = [line.removeprefix("ENV ") for line in instructions(target) if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def asked(extra: str, **system: str) -> list[Requirement]:
    """What an extra asks for, through those of ours that it names; on this system or another."""
    found = []
    for one in map(Requirement, PROJECT["optional-dependencies"][extra]):
        ours = one.extras if one.name == "grokprobe" else ()
        if one.marker is None or one.marker.evaluate({**system}):
            found += [deeper for name in ours for deeper in asked(name, **system)] or [one]
    return found


# -- the Dockerfile ------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say(tmp_path: Path) -> None:
    """The Dockerfile passes every rule, and no rule is switched off."""
    hadolint = Path(sys.executable).with_name("hadolint")
    strict = ["--disable-ignore-pragma", "--failure-threshold", "style"]
    command = [str(hadolint), *strict, str(ROOT / "Dockerfile")]
    # From an empty folder: there is no configuration that could switch one off.
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("target", images.TARGETS)
def test_a_target_is_its_own_program_and_not_root(target: str) -> None:
    """It starts its program as a numbered user and lacks the other program's code."""
    program = PROGRAMS[target]
    [other] = {"service", "trainer"} - {program}
    lines = instructions(target)
    assert lines[0] == "FROM ${PYTHON_IMAGE}"
    assert lines[-1] == f'ENTRYPOINT ["python", "-m", "{program}"]'
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert {"COPY grokprobe grokprobe", f"COPY {program} {program}"} <= set(lines)
    assert not [line for line in lines if other in line]
    assert f"COPY --from={target}-packages /venv /venv" in lines
    [title] = re.findall(r'image\.title="(\S+)"', "\n".join(lines))
    assert title == f"grokprobe-{target}"


@pytest.mark.parametrize("target", images.TARGETS)
def test_packages_are_installed_from_the_targets_lock_alone(target: str) -> None:
    """By digests, from wheels; torch for CPUs comes from where the builder says, and is pinned."""
    _, lines = stages()[f"{target}-packages"]
    installs = [part for line in lines for part in line.split("&&") if "pip install" in part]
    locked, *others = installs
    assert f"--require-hashes --requirement locks/{target}.txt" in locked
    assert all("--only-binary=:all:" in part for part in installs)
    assert len(others) == (target == "trainer-cpu")
    assert all("--no-deps" in part and "--requirement torch.txt" in part for part in others)


@pytest.mark.parametrize("target", images.TARGETS)
def test_what_changes_seldom_comes_first(target: str) -> None:
    """Packages of others, then facts of ours, then code, then the revision."""
    lines = "\n".join(instructions(target))
    order = ["-packages /venv", "--from=facts", "COPY grokprobe", "ARG REVISION"]
    assert sorted(order, key=lines.index) == order
    assert "pyproject.toml" not in "\n".join(instructions(f"{target}-packages"))


def test_the_version_is_the_projects() -> None:
    """Wherever the Dockerfile names one."""
    named = re.findall(r'image\.version="(.+?)"|grokprobe(?:-\S+:|==)(\d\S+)', DOCKERFILE)
    assert {one or other for one, other in named} == {PROJECT["version"]}
    assert len(named) == 5


def test_no_registry_is_written_down() -> None:
    """The base is an argument whose value is a name; locks have names and digests, no hosts."""
    assert re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE) == [
        "python:3.11-slim-bookworm"
    ]
    assert all("${PYTHON_IMAGE}" in base or base in {"scratch", *stages()}
               for base, _ in stages().values())  # fmt: skip
    assert not [lock for lock in LOCKS.glob("*.txt") if "://" in lock.read_text()]
    assert "://" not in DOCKERFILE


def test_the_build_gets_what_it_copies_and_no_more() -> None:
    """`.dockerignore` admits all sources of COPY and nothing else, and all of them are there."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    admitted = {line[1:] for line in ignore if line.startswith("!")}
    assert {"locks" if s.startswith("locks/") else s for s in copied} == admitted
    assert all((ROOT / source).exists() for source in copied)


def test_the_healthcheck_asks_the_service_that_the_settings_name(tmp_path: Path) -> None:
    """0 while it is ready, 1 when nobody answers, 2 for settings that are none."""
    command = [sys.executable, "-m", "service.healthcheck"]
    lines = [line for line in instructions("service-cpu") if line.startswith("HEALTHCHECK")]
    assert [json.loads(line.partition("CMD ")[2]) for line in lines] == [["python", *command[1:]]]

    def exit_status(**variables: str) -> int:
        return subprocess.run(command, env=variables, cwd=ROOT, check=False).returncode

    with serving(settings_at(tmp_path), tmp_path) as served:
        port = str(served.client.base_url.port)
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):
            assert exit_status(GROKPROBE_PORT=port, GROKPROBE_HOST=host) == 0
    assert exit_status(GROKPROBE_PORT=port) == 1
    assert exit_status(GROKPROBE_PORT="none") == 2


# -- extras and locks ----------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["service", "trainer"])
def test_a_cpu_extra_is_the_other_but_for_onnx_runtime(program: str) -> None:
    """`service` and `service-cpu`: the same requirements, each with its own ONNX Runtime."""
    linux = {"sys_platform": "linux", "platform_machine": "x86_64"}
    cuda, cpu = ({str(one).partition(";")[0] for one in asked(extra, **linux)}
                 for extra in (program, f"{program}-cpu"))  # fmt: skip
    assert {one.partition(">")[0] for one in cuda - cpu} == {"onnxruntime-gpu"}
    assert {one.partition(">")[0] for one in cpu - cuda} == {"onnxruntime"}


@pytest.mark.parametrize("name", locks.TARGETS)
def test_a_lock_has_the_pins_and_a_digest_for_each(name: str) -> None:
    """Versions of constraints.txt; what has none there is CUDA's or of the build alone."""
    text = (LOCKS / f"{name}.txt").read_text()
    found = packages(LOCKS / f"{name}.txt")
    apart = {p: v for p, v in found.items() if PINS.get(p) != v}
    assert all(CUDA.match(package) or name == "tools" for package in apart), apart
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(found)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


@pytest.mark.parametrize("target", images.TARGETS)
def test_a_lock_has_all_that_its_extras_ask_for(target: str) -> None:
    """What pyproject.toml requires, in a version that fits; of torch for CPUs what it requires."""
    found = packages(LOCKS / f"{target}.txt")
    extras = [r for extra in locks.TARGETS[target].extras for r in asked(extra)]
    wanted = [*map(Requirement, PROJECT["dependencies"]), *extras]
    if target == "trainer-cpu":
        wanted = [one for one in wanted if one.name != "torch"]
        told = (Requirement(text) for text in requires("torch") or [])
        plain = (one for one in told if one.marker is None)
        wanted += [one for one in plain if not CUDA.match(one.name)]
    for one in wanted:
        assert one.specifier.contains(found[canonicalize_name(one.name)]), one


def test_locks_differ_as_their_images_do() -> None:
    """One ONNX Runtime each; CUDA where it is meant; torch in trainers alone."""
    for target in images.TARGETS:
        found = packages(LOCKS / f"{target}.txt")
        runtimes = [name for name in found if name in ("onnxruntime", "onnxruntime-gpu")]
        assert runtimes == ["onnxruntime" if target.endswith("-cpu") else "onnxruntime-gpu"]
        cuda = {name for name in found if CUDA.match(name)}
        assert bool(cuda) == (not target.endswith("-cpu"))
        assert ("torch" in found) == (target == "trainer")
    assert {"nvidia-cublas", "nvidia-cudnn-cu13"} <= packages(LOCKS / "service.txt").keys()


def test_cuda_is_for_images_alone() -> None:
    """No extra and no constraint names a package of CUDA, so that `make` installs none."""
    everything = [r for extra in PROJECT["optional-dependencies"] for r in asked(extra)]
    assert not [one for one in everything if CUDA.match(one.name) or "cuda" in one.extras]
    assert not list(filter(CUDA.match, PINS))


@pytest.mark.parametrize("target", images.TARGETS)
def test_an_image_reports_to_nobody(target: str, tmp_path: Path) -> None:
    """With its environment ONNX Runtime writes no identity of the machine, and so sends none."""
    switch = "ORT_DISABLE_TELEMETRY"
    given = {"HOME": str(tmp_path), switch: environment(target)[switch]}
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=given, check=True)
    assert list(tmp_path.iterdir()) == []


def test_the_port_is_the_services_own() -> None:
    """What is exposed is what an unset GROKPROBE_PORT means."""
    for target in ("service", "service-cpu"):
        assert f"EXPOSE {Settings().port}" in instructions(target)


# -- building ------------------------------------------------------------------------------------


def test_no_digest_is_invented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the base cannot be pulled nothing is built, and the reason and the way out are told."""

    def refuse(*command: str) -> str:
        raise images.CannotBuild(f"{command[1]}: no such registry")

    monkeypatch.setattr(images, "output", refuse)
    with pytest.raises(images.CannotBuild, match=r"digest of python:3\.11.* by --base"):
        images.resolve("podman", images.default_base())
