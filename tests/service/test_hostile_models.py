"""A real service over a store that holds hostile models, with right digests, beside a good run."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.service.test_api_errors import check_problem
from tests.support.hostile_models import FAILING, REFUSED, model, publishable, slow
from tests.support.served import PATIENCE_S, Served, environment, eventually, peak_bytes, serving
from tests.support.tiny import tiny_run
from tests.support.trained import TINY_STEPS, Trained

KINDS = {**REFUSED, **FAILING}
ONE_PAIR = {"pairs": [[1, 5]]}
GOOD = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}"
# Of models that nobody has exported here: an honest one, and one that is as slow as can be.
FOREIGN, SLOW = "/v1/runs/foreign/checkpoints/0", "/v1/runs/foreign/checkpoints/1"


@pytest.fixture(scope="module")
def hostile(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A store with the run `tiny`, which is good, and the runs `hostile` and `foreign`."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    shutil.copytree(trained.settings.home_path / "store", home / "store")
    settings = Settings(home=str(home), log_format="json")

    async def publish() -> None:
        async with open_backends(settings) as backends:
            await publishable([make() for make in KINDS.values()], "hostile").publish(backends)
            honest = model().SerializeToString()
            await publishable([honest, slow()], "foreign").publish(backends)
            await tiny_run("circles", 7).publish(backends)
            await backends.catalogue.rebuild(backends.archive)

    asyncio.run(publish())
    return settings


@pytest.fixture(scope="module")
def served(hostile: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose foreign models have a second."""
    folder = tmp_path_factory.mktemp("served")
    with serving(hostile, folder, GROKPROBE_MAX_INFERENCE_S="1") as served:
        yield served


def neighbour(served: Served) -> None:
    """Fail unless the process is well, and the good run beside is answered."""
    assert served.client.get("/livez").status_code == 200
    assert served.client.post(f"{GOOD}/predictions", json=ONE_PAIR).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_model_hurts_nobody(served: Served, kind: str) -> None:
    """It is an honest problem on every route that would run it; its neighbour is served."""
    path = f"/v1/runs/hostile/checkpoints/{list(KINDS).index(kind)}"
    asked = [served.client.post(f"{path}/predictions", json=ONE_PAIR)]
    asked += [served.client.get(f"{path}/{name}") for name in ("logits", "predictions", "measures")]
    for answer in asked:
        body = check_problem(answer, 500, "hostile")
        assert body["type"] == "urn:grokprobe:checkpoint-corrupt"
    neighbour(served)
    assert "Traceback" not in served.log.read_text()
    assert peak_bytes(served) < 10**9


@pytest.mark.parametrize("kind", list(REFUSED))
def test_its_weights_are_not_listed_either(served: Served, kind: str) -> None:
    """They are read from the same file."""
    path = f"/v1/runs/hostile/checkpoints/{list(KINDS).index(kind)}/weights"
    assert check_problem(served.client.get(path), 500, "hostile")


def test_a_foreign_model_is_answered_as_any_other(served: Served) -> None:
    """Its predictions, its grid, its matrices, and all that is made of them."""
    run = "/v1/runs/circles/checkpoints/200"
    assert served.client.post(f"{FOREIGN}/predictions", json=ONE_PAIR).status_code == 200
    for name in ("predictions", "logits", "embedding", "spectrum", "measures", "weights"):
        assert served.client.get(f"{run}/{name}").status_code == 200, name
    tensor = {"name": "pairs", "datatype": "INT64", "shape": [1, 2], "data": [1, 5]}
    url = "/v2/models/circles/versions/200/infer"
    answer = served.client.post(url, json={"inputs": [tensor]})
    assert {one["name"] for one in answer.json()["outputs"]} == {"logits", "embedding"}


def test_a_slow_model_is_ended(served: Served) -> None:
    """503 with Retry-After for each who asks, one pair or all; meanwhile others are served."""
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(served.client.post, f"{SLOW}/predictions", json=ONE_PAIR),
            pool.submit(served.client.post, f"{SLOW}/predictions", json=ONE_PAIR),
            pool.submit(served.client.get, f"{SLOW}/logits"),
        ]
        rounds = 0
        while not all(one.done() for one in asked):
            neighbour(served)
            rounds += 1
        for one in asked:
            body = check_problem(one.result(), 503, "GROKPROBE_MAX_INFERENCE_S")
            assert body["type"] == "urn:grokprobe:inference-too-long"
            assert int(one.result().headers["retry-after"]) >= 1
    assert rounds > 1
    # The threads are free again: what is honest is answered.
    found = eventually(
        lambda: served.client.post(f"{FOREIGN}/predictions", json=ONE_PAIR).status_code == 200
    )
    assert found


def test_those_who_wait_for_foreign_models_are_few(hostile: Settings, tmp_path: Path) -> None:
    """A quarter of the permits: the others are refused at once, and the neighbour has the rest."""
    with serving(hostile, tmp_path, GROKPROBE_MAX_IN_FLIGHT="8") as served:
        with ThreadPoolExecutor(6) as pool:
            asked = [
                pool.submit(served.client.post, f"{SLOW}/predictions", json=ONE_PAIR)
                for _ in range(6)
            ]
            assert eventually(lambda: sum(one.done() for one in asked) == 4)
            neighbour(served)
            refused = [one.result() for one in asked if one.done()]
            served.process.send_signal(signal.SIGTERM)
        for answer in refused:
            check_problem(answer, 429, "in flight")


def test_a_stop_while_a_slow_model_runs(hostile: Settings, tmp_path: Path) -> None:
    """SIGTERM ends the process, with exit status 0 and without a traceback."""
    with serving(hostile, tmp_path, GROKPROBE_MAX_INFERENCE_S="2") as served:
        with ThreadPoolExecutor(1) as pool:
            slow_one = pool.submit(served.client.post, f"{SLOW}/predictions", json=ONE_PAIR)
            in_flight = "grokprobe_in_flight 1.0"
            assert eventually(lambda: in_flight in served.client.get("/metrics").text)
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(PATIENCE_S) == 0
            check_problem(slow_one.result(), 503, "GROKPROBE_MAX_INFERENCE_S")
        assert "Traceback" not in served.log.read_text()


def test_verify_tells_what_a_service_would_refuse(hostile: Settings) -> None:
    """Each hostile model by its object's name, and none that is fine."""
    command = [sys.executable, "-m", "grokprobe", "verify"]
    done = subprocess.run(
        command, env=environment(hostile), capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 1
    for step, kind in enumerate(KINDS):
        named = f"runs/hostile/checkpoints/{step:010}/model.onnx" in told
        assert named == (kind in REFUSED), kind
    assert "runs/foreign" not in told
    assert "runs/tiny" not in told


@pytest.mark.parametrize("kind", ["an endless Loop", "12 GB of zeros", "a quotient of integers"])
def test_import_onnx_says_why(kind: str, tmp_path: Path) -> None:
    """In the words of the service, and nothing is published."""
    path = tmp_path / "model.onnx"
    path.write_bytes(REFUSED[kind]())
    settings = Settings(home=str(tmp_path / "home"), log_format="json")
    command = [sys.executable, "-m", "trainer", "import-onnx", str(path), "--operation", "add"]
    done = subprocess.run(
        [*command, "--modulus", "7", "--run", "theirs", "--step", "1"],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    [error] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"{path} is refused: " in error
    assert not (tmp_path / "home").exists()


def test_the_client_is_told_by_any_route(served: Served) -> None:
    """A batch of the inference protocol gets the same problem."""
    tensor = {"name": "pairs", "datatype": "INT64", "shape": [1, 2], "data": [1, 5]}
    answer: httpx.Response = served.client.post(
        "/v2/models/hostile/versions/0/infer", json={"inputs": [tensor]}
    )
    assert answer.status_code == 500
    assert "an operator" in answer.text or "the operator" in answer.text
