"""Cards of runs that lack something: others trained it, or it failed; of S_5 beside its others."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.service.test_api import get
from tests.support.foreign import lens, save, small
from tests.support.served import serving
from tests.support.trained import settings_at, tiny_config
from trainer.importing.weight_files import import_files
from trainer.jobs.opening import RunFailed
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

HOT = tiny_config(optimiser={"learning_rate": 1.0, "weight_decay": 1000.0})
NAMES = ["foreign", "hot"]
NOTHING = re.compile(r"\b(None|null|nan|NaN|undefined)\b")


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over an imported run and one that failed."""
    folder = tmp_path_factory.mktemp("cards")
    settings = settings_at(folder)
    file = save(small(), folder / "small.safetensors")
    assert import_files(settings, [file], lens(), "foreign", JsonReporter()) == 0
    with pytest.raises(RunFailed):
        start(settings, HOT, "hot", JsonReporter())
    with serving(settings, folder) as served:
        yield served.client


def card(client: httpx.Client, run: str) -> Any:
    """The card as a record."""
    return get(client, f"/v1/runs/{run}/card")


def written(client: httpx.Client, run: str) -> str:
    """The card as Markdown."""
    answer = client.get(f"/v1/runs/{run}/card", params={"format": "markdown"})
    assert answer.status_code == 200
    return answer.text


def check_card(client: httpx.Client, run: str) -> None:
    """It tells what the other resources tell, and in Markdown no word of a program for nothing."""
    found, told = card(client, run), get(client, f"/v1/runs/{run}")
    emergence = get(client, f"/v1/runs/{run}/emergence")
    for name in ("task", "architecture", "optimiser", "seed", "status", "checkpoint_count"):
        assert found[name] == told[name]
    for name in ("memorised", "generalised", "series", "lags", "phases", "keys", "nulls"):
        assert found[name] == emergence[name]
    text = written(client, run)
    assert [line for line in text.splitlines() if NOTHING.search(line)] == []
    assert "not known" in text


@pytest.mark.parametrize("run", NAMES)
def test_a_card_says_what_is_known(cards: httpx.Client, run: str) -> None:
    """As the other resources do; what is not known is said in words."""
    check_card(cards, run)


def test_of_an_imported_run_nothing_is_invented(cards: httpx.Client) -> None:
    """No seed, optimiser, split or command; the reasons stand beside; it is cited all the same."""
    found = card(cards, "foreign")
    assert (found["command"], found["seed"], found["optimiser"]) == (None, None, {})
    assert found["digests"]["split"] is found["task"]["split_sha256"] is None
    assert {"command", "split"} <= found["absent"].keys()
    assert found["citation"]["text"].startswith("Run foreign (")
    assert "To train it again" not in written(cards, "foreign")


def test_a_failed_run_says_how_it_ended(cards: httpx.Client) -> None:
    """With the step, and with the command, by which it fails again; it has generalised never."""
    found = card(cards, "hot")
    assert found["status"] == "failed"
    assert "train_loss is not finite at step" in found["reason"]
    assert found["memorised"] is found["generalised"] is None
    assert "generalised" not in found["digests"]["checkpoints"]
    assert "weight_decay=1000.0" in found["command"]
