"""Runs that are not the demo's, really trained and asked over HTTP: multiplication, no decay."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from grokprobe.analysis.fourier import spectrum
from tests.service.test_api import get
from tests.support.served import serving
from tests.support.trained import settings_at
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

SMALL = {
    "model": {"d_model": 64, "heads": 2, "d_head": 32, "d_mlp": 128},
    "checkpoints": {"every": 100, "log_spaced": 2},
}
MULTIPLIED = {
    "task": {"operation": "mul", "modulus": 31, "train_fraction": 0.6},
    "optimiser": {"learning_rate": 0.01},
    "training": {"steps": 1400, "seed": 2, "device": "cpu", "threads": 1},
}
UNDECAYED = {
    "task": {"modulus": 31, "train_fraction": 0.3},
    "optimiser": {"learning_rate": 0.003, "weight_decay": 0.0},
    "training": {"steps": 600, "device": "cpu", "threads": 1},
}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over both runs."""
    settings = settings_at(tmp_path_factory.mktemp("others"))
    for run, sections in (("multiplied", MULTIPLIED), ("undecayed", UNDECAYED)):
        assert start(settings, decode_config(SMALL | sections, run), run, JsonReporter()) == 0
    with serving(settings, settings.home_path) as served:
        yield served.client


def test_multiplication_is_learnt_in_discrete_log_order(others: httpx.Client) -> None:
    """At accuracy 1 the spectrum is sparse over Z_p*, ten times more so than in natural order."""
    last = "/v1/runs/multiplied/checkpoints/latest"
    measures = get(others, f"{last}/measures")
    found = get(others, f"{last}/spectrum", null=200)
    W_E = np.load(io.BytesIO(others.get(f"{last}/weights/W_E").content))[:31]
    natural = spectrum(W_E).gini_frequencies
    assert measures["measures"]["accuracy"] == 1.0
    assert (found["basis"]["group"], found["basis"]["order"]) == ("Z_31*", 30)
    assert natural is not None
    assert found["gini_frequencies"] > 10 * natural
    assert found["null"]["p_value"] == pytest.approx(1 / 201)
    assert 2 <= len(measures["keys"]["frequencies"]) <= 6
    assert measures["measures"]["restricted_accuracy"] == 1.0


def test_without_weight_decay_nothing_emerges(others: httpx.Client) -> None:
    """It memorises and never generalises: null where it must, and no keys are invented."""
    found = get(others, "/v1/runs/undecayed/emergence")
    assert found["memorised"]["confirmed"]
    assert found["generalised"] is None
    assert found["keys"]["frequencies"] == []
    for name in ("test_accuracy", "key_share", "restricted_accuracy"):
        assert found["series"][name]["midpoint"] is None
    assert all(lag is None for lags in found["lags"].values() for lag in lags.values())
    assert found["phases"]["memorisation"]["end"] == found["memorised"]["step"]
    assert (found["phases"]["circuit_formation"], found["phases"]["cleanup"]) == (None, None)
    assert others.get("/v1/runs/undecayed/checkpoints/generalised").status_code == 404
