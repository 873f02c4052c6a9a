"""The CPU image of the service, really run: read-only, without rights, in 512 MB, on real parts.

`.ci/image` builds it and names it in the variable IMAGE; elsewhere these tests are skipped.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from grokprobe.settings import Settings, variable
from grokprobe.store.backends import open_backends
from service.formats.registry import FORMATS
from tests.support.s3_servers import READER, s3_server
from tests.support.served import eventually, free_port, serving
from tests.support.tiny import tiny_run
from tools.images import VERSION, engine
from tools.locks import LOCKS, packages

IMAGE = os.environ.get("IMAGE", "")
pytestmark = pytest.mark.skipif(not IMAGE, reason="no image to try: .ci/image builds one")
MEMORY = 512 * 10**6
MOST_BYTES = 750 * 10**6
LOCKED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=200")
TINY = tiny_run()
ASKED = [
    *("/v1/runs", "/v1/runs/tiny/checkpoints", "/v1/runs/tiny/trajectory"),
    *(
        f"/v1/runs/tiny/checkpoints/latest/{what}"
        for what in ("predictions?a=3&b=5", "embedding", "spectrum", "logits", "measures")
    ),
]


@dataclass(frozen=True)
class Running:
    """A container of the image: its client, and what the engine knows of it."""

    program: str
    name: str
    client: httpx.Client
    reference: httpx.Client
    started_in_s: float

    def inside(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command within it."""
        whole = [self.program, "exec", self.name, *command]
        return subprocess.run(whole, capture_output=True, text=True, check=False)


async def publish(settings: Settings) -> None:
    """Publish the run, index included."""
    async with open_backends(settings) as backends:
        await TINY.publish(backends)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service in its container over S3, which it can read alone, and Debian's Redis."""
    program, name = engine(), f"grokprobe-test-{os.getpid()}"
    redis_port, port = free_port(), free_port()
    redis_server = shutil.which("redis-server")
    assert redis_server, "apt-get install redis-server"
    command = [redis_server, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""]
    folder = tmp_path_factory.mktemp("image")
    settings = Settings(home=str(folder), redis_url=f"redis://127.0.0.1:{redis_port}/0")
    in_s3 = Settings(store_url="s3://published/here", redis_url=settings.redis_url)
    with (
        s3_server(folder / "s3") as s3,
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis,
        pytest.MonkeyPatch.context() as patch,
    ):
        s3.client().create_bucket(Bucket="published")
        for key, value in s3.environment().items():
            patch.setenv(key, value)
        asyncio.run(publish(Settings(**{**_plain(in_s3), "s3_endpoint": s3.endpoint})))
        asyncio.run(publish(Settings(home=str(folder / "reference"))))
        given = {
            **s3.environment(READER),
            variable("store_url"): in_s3.store_url,
            variable("redis_url"): in_s3.redis_url,
            variable("port"): str(port),
            variable("pictures"): "false",  # there is no room for what draws
        }
        variables = [f"--env={key}={value}" for key, value in given.items()]
        limits = [f"--memory={MEMORY}", f"--memory-swap={MEMORY}", *LOCKED]
        since = time.monotonic()
        subprocess.run(
            [
                program,
                "run",
                "--detach",
                "--network=host",
                "--name",
                name,
                *limits,
                *variables,
                IMAGE,
            ],
            check=True,
        )
        try:
            with (
                httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
                serving(Settings(home=str(folder / "reference")), folder) as reference,
            ):
                assert eventually(lambda: _is_ready(client) or not _runs(program, name))
                took = time.monotonic() - since
                assert _runs(program, name), _log(program, name)
                yield Running(program, name, client, reference.client, took)
        finally:
            subprocess.run([program, "rm", "--force", "--volumes", name], check=True)
            redis.kill()


def _plain(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in Settings.__struct_fields__}


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _runs(program: str, name: str) -> bool:
    command = [program, "inspect", "--format", "{{.State.Running}}", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() == "true"


def _log(program: str, name: str) -> str:
    done = subprocess.run([program, "logs", name], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def facts(running: Running) -> Any:
    """What the engine knows of the image."""
    command = [running.program, "image", "inspect", IMAGE]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]


@pytest.mark.parametrize("path", ASKED)
def test_it_answers_as_the_service_beside_it(running: Running, path: str) -> None:
    """In the container over S3 and Redis, and out of it over files: the same values."""
    ours, theirs = running.client.get(path), running.reference.get(path)
    assert ours.status_code == theirs.status_code == 200
    assert _rounded(ours.text) == _rounded(theirs.text)


def _rounded(text: str) -> list[str]:
    """An answer's words, its fractions as far as two libraries of arithmetic agree."""
    words = re.findall(r"[^\s,:\[\]{}]+", text)
    return [
        f"{float(word):.3f}" if re.fullmatch(r"-?[\d.]+(e-?\d+)?", word) else word for word in words
    ]


@pytest.mark.parametrize("chosen", sorted(FORMATS))
def test_every_format_is_there(running: Running, chosen: str) -> None:
    """Nothing that a format needs was left out of the image."""
    logits = "/v1/runs/tiny/checkpoints/latest/logits"
    of_table = running.client.get(f"/v1/runs/tiny/trajectory?format={chosen}")
    of_array = running.client.get(f"{logits}?format={chosen}")
    assert {of_table.status_code, of_array.status_code} <= {200, 400, 406}
    assert 200 in (of_table.status_code, of_array.status_code)


def test_it_draws(running: Running) -> None:
    """The renderer is there, with fonts of its own, where the service may use it."""
    draw = "import vl_convert, sys; sys.stdout.write(vl_convert.vegalite_to_svg({'mark': 'point'}))"
    command = [running.program, "run", "--rm", "--read-only", "--entrypoint=python", IMAGE, "-c"]
    done = subprocess.run([*command, draw], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("<svg")
    refused = running.client.get("/v1/runs/tiny/checkpoints/latest/spectrum?format=svg")
    assert refused.status_code == 406


def test_everything_it_stands_on_is_in_use(running: Running) -> None:
    """Ready, and no part of it is degraded."""
    assert running.client.get("/readyz").json()["status"] == "ready"


def test_it_has_no_rights(running: Running) -> None:
    """A numbered user without a capability, who can write into its home and nowhere else."""
    assert running.inside("id", "-u").stdout.strip() == "10001"
    status = running.inside("cat", "/proc/1/status").stdout
    assert dict(re.findall(r"^(CapEff|CapBnd|NoNewPrivs):\s+(\w+)$", status, re.MULTILINE)) == {
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
    }
    for folder in ("/", "/app", "/venv", "/usr/local"):
        assert running.inside("touch", f"{folder}/written").returncode != 0
    assert running.inside("touch", "/data/written").returncode == 0


def test_its_healthcheck_is_the_services_own(running: Running) -> None:
    """The image's command says ready; to a port of nobody it says not."""
    found = facts(running)  # podman has it elsewhere than docker
    test = found.get("Healthcheck", found["Config"].get("Healthcheck"))["Test"]
    assert test == ["CMD", "python", "-m", "service.healthcheck"]
    assert running.inside(*test[1:]).returncode == 0
    elsewhere = [f"{variable('port')}={free_port()}", *test[1:]]
    assert running.inside("env", *elsewhere).returncode == 1


def test_it_says_what_it_is(running: Running) -> None:
    """Labels name the image, its version, its source and its base."""
    prefix = "org.opencontainers.image."
    labels = facts(running)["Config"]["Labels"]
    found = {k.removeprefix(prefix): v for k, v in labels.items() if k.startswith(prefix)}
    assert found["title"] == "grokprobe-service-cpu"
    assert found["version"] == VERSION
    assert re.fullmatch(r"[0-9a-f]{40}", found["revision"])
    assert found["base.name"]
    assert running.inside("grokprobe", "--version").stdout.strip() == f"grokprobe {VERSION}"


def test_its_list_of_parts_is_its_lock(running: Running) -> None:
    """Every package of the lock in its version, none beside them, and we ourselves."""
    parts = json.loads(running.inside("cat", "/app/sbom.cdx.json").stdout)
    listed = {
        part["name"].lower().replace("_", "-"): part["version"] for part in parts["components"]
    }
    assert listed == packages(LOCKS / "service-cpu.txt")
    assert parts["metadata"]["component"]["name"] == "grokprobe"
    assert parts["bomFormat"] == "CycloneDX"


def test_it_is_small_and_has_nothing_of_cuda(running: Running) -> None:
    """Less than 750 MB; no trainer, no torch, no CUDA; neither pip nor a compiler of its own."""
    assert facts(running)["Size"] < MOST_BYTES
    find = running.inside("find", "/venv", "/app", "-name", "*cuda*.so*", "-o", "-name", "nvidia*")
    assert find.stdout == ""
    for name in ("torch", "trainer", "pip"):
        assert running.inside("test", "-e", f"/app/{name}").returncode == 1
        inside = f"/venv/lib/python3.11/site-packages/{name}"
        assert running.inside("test", "-e", inside).returncode == 1


def test_its_memory_was_enough(running: Running) -> None:
    """Nothing was killed; what was used most and how long the start took are printed (-s)."""
    read = "cat /sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
    peak = int(running.inside("sh", "-c", f"{read} 2>/dev/null").stdout.split()[0])
    size = facts(running)["Size"]
    print(f"\nimage {size / 1e6:.0f} MB, ready after {running.started_in_s:.1f} s, "
          f"at most {peak / 1e6:.0f} MB of memory")  # fmt: skip
    assert peak < MEMORY


def test_it_stops_by_itself(running: Running) -> None:
    """SIGTERM: exit status 0 well before an engine would kill it. The last test of this file."""
    command = [running.program, "stop", "--time=60", running.name]
    subprocess.run(command, check=True, capture_output=True)
    state = [running.program, "inspect", "--format", "{{.State.ExitCode}}", running.name]
    done = subprocess.run(state, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0"
