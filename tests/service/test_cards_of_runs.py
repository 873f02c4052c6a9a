"""Cards of runs that lack something: others trained it, it failed, its group has no frequencies."""

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

TWO_STEPS = {"training": {"steps": 2}}
S5 = tiny_config(task={"operation": "s5", "modulus": 120}, **TWO_STEPS)
HOT = tiny_config(optimiser={"learning_rate": 1.0, "weight_decay": 1000.0})
NAMES = ["foreign", "hot", "s5"]
NOTHING = re.compile(r"\b(None|null|nan|NaN|undefined)\b")


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over an imported run, one that failed, and one of S_5."""
    folder = tmp_path_factory.mktemp("cards")
    settings = settings_at(folder)
    file = save(small(), folder / "small.safetensors")
    assert import_files(settings, [file], lens(), "foreign", JsonReporter()) == 0
    with pytest.raises(RunFailed):
        start(settings, HOT, "hot", JsonReporter())
    assert start(settings, S5, "s5", JsonReporter()) == 0
    with serving(settings, folder) as served:
        yield served.client


def card(client: httpx.Client, run: str) -> Any:
    """The card as a record."""
    return get(client, f"/v1/runs/{run}/card")


@pytest.mark.parametrize("run", NAMES)
def test_what_is_not_known_is_said_in_words(cards: httpx.Client, run: str) -> None:
    """In Markdown no null and no word of a program stands for it; each has its line."""
    text = get_markdown(cards, run)
    assert NOTHING.search(text) is None
    assert "not known" in text


@pytest.mark.parametrize("run", NAMES)
def test_a_card_agrees_with_the_run(cards: httpx.Client, run: str) -> None:
    """Task, status and what happened when are those that the other resources tell."""
    found, told = card(cards, run), get(cards, f"/v1/runs/{run}")
    emergence = get(cards, f"/v1/runs/{run}/emergence")
    for name in ("task", "architecture", "optimiser", "seed", "status", "checkpoint_count"):
        assert found[name] == told[name]
    for name in ("memorised", "generalised", "series", "keys", "nulls"):
        assert found[name] == emergence[name]


def test_of_an_imported_run_nothing_is_invented(cards: httpx.Client) -> None:
    """No seed, optimiser, split or command; the reasons stand beside; it is cited all the same."""
    found = card(cards, "foreign")
    assert (found["command"], found["seed"], found["optimiser"]) == (None, None, {})
    assert found["digests"]["split"] is found["task"]["split_sha256"] is None
    assert {"command", "split"} <= found["absent"].keys()
    assert found["citation"]["text"].startswith("Run foreign (")
    assert "To train it again" not in get_markdown(cards, "foreign")


def test_a_failed_run_says_how_it_ended(cards: httpx.Client) -> None:
    """With the step, and with the command, by which it fails again; it has generalised never."""
    found = card(cards, "hot")
    assert found["status"] == "failed"
    assert "train_loss is not finite at step" in found["reason"]
    assert found["memorised"] is found["generalised"] is None
    assert "generalised" not in found["digests"]["checkpoints"]
    assert "optimiser.weight\\_decay" not in found["command"]
    assert "weight_decay=1000.0" in found["command"]


def test_s5_has_no_key_frequencies(cards: httpx.Client) -> None:
    """Its task is the group's, of 120 elements; keys are null, and no frequency is named."""
    found = card(cards, "s5")
    assert (found["task"]["operation"], found["task"]["modulus"]) == ("s5", 120)
    assert found["keys"] is None
    assert "## Key frequencies\n\n- it: not known" in get_markdown(cards, "s5")


def get_markdown(client: httpx.Client, run: str) -> str:
    """The card as text."""
    answer = client.get(f"/v1/runs/{run}/card", params={"format": "markdown"})
    assert answer.status_code == 200
    return answer.text
