"""The largest modulus within the limits of the manifests: 2 GiB of a pod, 4 GiB of a Job."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from benchmarks.memory import KEYS, peak_mib
from grokprobe.settings import Settings
from tests.support.served import Served, environment, serving

POD_MIB, JOB_MIB = 2_048, 4_096
RUN = "/v1/runs/gromov/checkpoints/0"
# Of reading one checkpoint, above what the process holds before: a sixth of what it once took.
ONE_MIB = 640


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[str]]:
    """A run at p 509, published and ended by a process of its own, and the lines that it said."""
    settings = Settings(home=str(tmp_path_factory.mktemp("large")), log_format="json")
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", settings.home, "gromov"],
        env=environment(settings, OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    return settings, ran.stdout.splitlines()


@pytest.fixture(scope="module")
def served(
    published: tuple[Settings, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service over it, with the settings' defaults."""
    with serving(published[0], tmp_path_factory.mktemp("log")) as started:
        yield started


def test_it_is_published_within_a_job(published: tuple[Settings, list[str]]) -> None:
    """Checkpoint and end of the run, keys and all: a third of the limit."""
    peaks = [int(line.rpartition(" s")[2].removesuffix(" MiB")) for line in published[1]]
    assert len(peaks) == 2
    assert max(peaks) < JOB_MIB / 3


def test_its_run_has_its_keys(served: Served) -> None:
    """The frequencies of its weights are found, and no others; with them alone it answers."""
    found = served.client.get(f"{RUN}/measures").json()
    assert found["keys"]["frequencies"] == sorted(KEYS)
    assert found["measures"]["restricted_accuracy"] > 0.5


def test_one_request_takes_what_it_said(served: Served) -> None:
    """Any keys, both passes: far below what the logits of all pairs alone would take in float64."""
    before = peak_mib(served.process.pid)
    answer = served.client.get(f"{RUN}/measures?keys=3,5")
    assert answer.status_code == 200
    assert answer.json()["measures"]["excluded_loss"] > 1
    assert peak_mib(served.process.pid) - before < ONE_MIB


def test_many_at_once_stay_within_a_pod(served: Served) -> None:
    """Every kind of analysis at the same time: each answers or is told to come back."""
    paths = ["neurons", "spectrum?of=logits", "measures?keys=own&key_rule=neurons"]
    paths += [f"measures?keys={k}" for k in range(6, 15)]

    def ask(path: str) -> httpx.Response:
        return httpx.get(f"{served.url}{RUN}/{path}", timeout=600)

    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(ask, paths))
    assert {a.status_code for a in answers} <= {200, 503}
    assert any(a.status_code == 200 for a in answers)
    refused = [a for a in answers if a.status_code == 503]
    assert all(a.json()["type"] == "urn:grokprobe:memory-busy" for a in refused)
    assert all(int(a.headers["Retry-After"]) >= 1 for a in refused)
    assert peak_mib(served.process.pid) < POD_MIB
    log = Path(served.log).read_text()
    assert "Traceback" not in log
