"""The service when something else fails: Redis, object storage, a run, the start, the stop."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.service.test_api_errors import check_problem
from tests.support.served import PATIENCE_S, Served, environment, eventually, have_read, serving
from tests.support.trained import TINY_STEPS, Trained

RUN = "/v1/runs/tiny"
LAST = f"{RUN}/checkpoints/{TINY_STEPS[-1]}"
ANSWERS = [
    "/v1/runs",
    RUN,
    f"{RUN}/checkpoints",
    f"{RUN}/trajectory",
    f"{RUN}/spectra",
    LAST,
    f"{LAST}/predictions",
    f"{LAST}/spectrum?null=20",
    f"{LAST}/embedding",
    f"{RUN}/checkpoints/first/embedding",
]


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Settings:
    """A copy of the run `tiny` and of its Redis, to be damaged."""
    home = tmp_path / "home"
    shutil.copytree(trained.settings.home_path / "store", home / "store")
    settings = Settings(home=str(home), log_format="json")
    asyncio.run(_reindex(settings))
    return settings


async def _reindex(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        await backends.catalogue.rebuild(backends.archive)


async def _flush(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        await backends.catalogue.connection.send(("FLUSHALL",))


def all_answers(client: httpx.Client) -> dict[str, Any]:
    """The JSON of many routes, by path."""
    found = {path: client.get(path) for path in ANSWERS}
    assert {path: answer.status_code for path, answer in found.items()} == dict.fromkeys(
        ANSWERS, 200
    )
    return {path: answer.json() for path, answer in found.items()}


def becomes(served: Served, status: str) -> bool:
    """Whether readiness says so in the end: a busy machine keeps its probes waiting."""
    return eventually(lambda: served.client.get("/readyz").json()["status"] == status)


def catalogue(served: Served) -> dict[str, str]:
    """What readiness says of the index."""
    found: dict[str, str] = served.client.get("/readyz").json()["dependencies"]["catalogue"]
    return found


def test_redis_emptied_while_serving(copied: Settings, tmp_path: Path) -> None:
    """Nothing is lost: the same answers all the time, and the index is rebuilt by itself."""
    with serving(copied, tmp_path) as served:
        before = all_answers(served.client)
        assert becomes(served, "ready")
        asyncio.run(_flush(copied))
        assert all_answers(served.client) == before
        repaired = 'grokprobe_index_repairs_total{reason="rebuild"} 1'
        assert eventually(lambda: repaired in served.client.get("/metrics").text)
        assert becomes(served, "ready")
        assert all_answers(served.client) == before


def test_redis_that_refuses(copied: Settings, tmp_path: Path, closed_port: int) -> None:
    """With nobody at the Redis address the service starts, degraded, and answers everything."""
    url = f"redis://127.0.0.1:{closed_port}"
    with serving(copied, tmp_path, GROKPROBE_REDIS_URL=url) as served:
        assert served.client.get("/readyz").json()["status"] == "degraded"
        assert all_answers(served.client)[RUN]["checkpoint_count"] == len(TINY_STEPS)


def test_object_storage_gone(copied: Settings, tmp_path: Path) -> None:
    """Hot checkpoints go on being served; a cold one is 503 with Retry-After."""
    store = copied.home_path / "store"
    with serving(copied, tmp_path) as served:
        hot = served.client.get(f"{LAST}/predictions").json()
        store.rename(store.with_name("away"))
        store.write_text("a file where the folder was")
        assert served.client.get(f"{LAST}/predictions").json() == hot
        answer = served.client.get(f"{RUN}/checkpoints/0/predictions")
        check_problem(answer, 503, "object storage")
        assert int(answer.headers["retry-after"]) >= 1
        ready = served.client.get("/readyz").json()
        assert (ready["status"], ready["dependencies"]["object_storage"]["status"]) == (
            "degraded",
            "down",
        )


def test_a_corrupt_checkpoint(copied: Settings, tmp_path: Path) -> None:
    """A flipped byte is 500 checkpoint-corrupt, for that checkpoint only."""
    path = copied.home_path / "store/runs/tiny/checkpoints/0000000000/model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with serving(copied, tmp_path) as served:
        for resource in ("predictions", "model.onnx", "spectrum"):
            answer = served.client.get(f"{RUN}/checkpoints/0/{resource}")
            body = check_problem(answer, 500, "0000000000/model.onnx")
            assert body["type"] == "urn:grokprobe:checkpoint-corrupt"
        assert served.client.get(f"{LAST}/predictions").status_code == 200


def test_a_deleted_run(copied: Settings, tmp_path: Path) -> None:
    """`delete` makes the run unknown to a running service within its staleness, hot or not."""
    with serving(copied, tmp_path) as served:
        assert served.client.get(f"{LAST}/predictions").status_code == 200
        command = [sys.executable, "-m", "grokprobe", "delete", "tiny", "--yes"]
        subprocess.run(command, env=environment(copied), check=True, capture_output=True)
        path = f"{LAST}/predictions"
        assert eventually(lambda: served.client.get(path).status_code != 200)
        check_problem(served.client.get(path), 404, "tiny")
        assert served.client.get("/v1/runs").json()["runs"] == []


def test_an_empty_store(tmp_path: Path) -> None:
    """Before anything is published the service is ready and its list is empty."""
    with serving(Settings(home=str(tmp_path)), tmp_path) as served:
        assert served.client.get("/v1/runs").json() == {"runs": [], "next": None}
        assert served.client.get("/v1/runs?format=csv").status_code == 200
        assert becomes(served, "ready")


def test_a_required_gpu_that_is_missing(trained: Trained, tmp_path: Path) -> None:
    """Without a working GPU a service that requires one is live and not ready, and says why."""
    with serving(trained.settings, tmp_path, GROKPROBE_REQUIRE_GPU="true") as served:
        ready = served.client.get("/readyz")
        if ready.json()["dependencies"]["inference"]["provider"] != "CPUExecutionProvider":
            pytest.skip("a GPU works here")
        assert ready.status_code == 503
        assert "GROKPROBE_REQUIRE_GPU" in ready.json()["dependencies"]["inference"]["detail"]
        assert served.client.get("/livez").status_code == 200


def test_too_many_in_flight(trained: Trained, tmp_path: Path) -> None:
    """With one permit, of large requests at once some are 429 with Retry-After, counted."""
    with (
        serving(trained.settings, tmp_path, GROKPROBE_MAX_IN_FLIGHT="1") as served,
        ThreadPoolExecutor(8) as pool,
    ):
        path, seeds = f"{LAST}/spectrum?null=10000&seed=", count()
        answers: list[httpx.Response] = []

        def ask() -> bool:
            """Eight at a time; where they come one after another, another eight."""
            asked = [path + str(next(seeds)) for _ in range(8)]
            answers.extend(pool.map(served.client.get, asked))
            return {200, 429} == {answer.status_code for answer in answers}

        assert eventually(ask)
        refused = [answer for answer in answers if answer.status_code == 429]
        check_problem(refused[0], 429, "in flight")
        assert int(refused[0].headers["retry-after"]) >= 1
        metrics = served.client.get("/metrics").text
        assert f'grokprobe_refusals_total{{reason="in_flight"}} {len(refused)}.0' in metrics


def test_a_body_that_never_comes(trained: Trained, tmp_path: Path) -> None:
    """A client that sends no body holds no permit; one that hangs up is no error of ours."""
    with serving(trained.settings, tmp_path, GROKPROBE_MAX_IN_FLIGHT="1") as served:
        address = ("127.0.0.1", served.client.base_url.port or 0)
        with socket.create_connection(address) as slow:
            head = f"POST {LAST}/predictions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
            slow.sendall(head.encode())
            have_read(served)
            assert served.client.get(f"{LAST}/predictions?a=1&b=2").status_code == 200
        assert eventually(lambda: 'status="408"' in served.client.get("/metrics").text)
        assert '"level":"error"' not in served.log.read_text()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean(trained: Trained, tmp_path: Path, signum: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the process with exit code 0 and no traceback."""
    with serving(trained.settings, tmp_path) as served:
        served.process.send_signal(signum)
        assert served.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GROKPROBE_PROT": "1"}, "GROKPROBE_PROT: is not a setting"),
        ({"GROKPROBE_PORT": "70000"}, "GROKPROBE_PORT: expected"),
        ({"GROKPROBE_STORE_URL": "ftp://x"}, "GROKPROBE_STORE_URL"),
        ({"GROKPROBE_REDIS_URL": "http://x"}, "GROKPROBE_REDIS_URL"),
        ({"GROKPROBE_HOME": "/proc/nowhere"}, "GROKPROBE_HOME"),
        (
            {"GROKPROBE_HOST": "203.0.113.1", "GROKPROBE_ALLOW_ANONYMOUS": "true"},
            "GROKPROBE_HOST: cannot listen on http://203.0.113.1:",
        ),
        ({"GROKPROBE_HOME": ""}, "GROKPROBE_HOME"),
    ],
)
def test_a_start_that_fails(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    """A setting that cannot be used: exit code 2 and one line that names it."""
    env = environment(Settings(home=str(tmp_path / "home")), **changes)
    command = [sys.executable, "-m", "service"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert words in lines[0]


def test_a_port_in_use(tmp_path: Path) -> None:
    """A port that is taken says so in one line."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        env = environment(Settings(home=str(tmp_path / "home")), GROKPROBE_PORT=port)
        command = [sys.executable, "-m", "service"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"127.0.0.1:{port}" in done.stderr
