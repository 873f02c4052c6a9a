"""Answers as a notebook shows them, as they are copied and pickled, and of a run that goes on."""

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grokprobe import Client
from grokprobe.client import errors
from grokprobe.client.answers import Answer, Record, last_step
from grokprobe.client.synchronous.run import Run
from tests.support.mortal import killed
from tests.support.served import Served, eventually, serving
from tests.support.trained import Trained, settings_at
from trainer.jobs.training import resume
from trainer.reporting.progress import JsonReporter

SERIES = (
    *("checkpoints", "trajectory", "coordinates", "spectra", "grids", "pairs", "neurons"),
    *("drift", "updates", "path"),
)


@pytest.fixture
def run(served: Served) -> Iterator[Run]:
    """The run `tiny`."""
    with Client(served.url, cache=False, key="none of your business") as client:
        yield client.run("tiny")


class Part(Record):
    """Made by hand."""

    name: str
    rows: list[Any]
    more: dict[str, Any]


def test_what_is_small_is_shown_whole() -> None:
    """As Python would make it."""
    part = Part("a", [Part("b", [1, 2.5], {}), None], {"x": [True], "y": "z"})
    inner = "Part(name='b', rows=[1, 2.5], more={})"
    assert repr(part) == f"Part(name='a', rows=[{inner}, None], more={{'x': [True], 'y': 'z'}})"


@pytest.mark.parametrize(
    ("rows", "more", "left_out"),
    [
        (list(range(10_000)), {}, "... 9900 more]"),
        ([[[0.123456789] * 99] * 99] * 99, {}, "... 96 more]"),
        ([], {str(n): n for n in range(500)}, "... 400 more}"),
        (["x" * 10**6], {}, "... 999000 letters more]"),
        ([Part("b" * 500, [], {})] * 50, {}, "... 47 more]"),
        ([], {"deep": ["x" * 1500, "y" * 1500]}, "more"),
    ],
)
def test_what_is_large_says_what_is_left_out(
    rows: list[Any], more: dict[str, Any], left_out: str
) -> None:
    """In a screenful, whatever it is."""
    shown = repr(Part("a", rows, more))
    assert left_out in shown
    assert len(shown) < 2100


@pytest.mark.parametrize("part", [*SERIES, "split", "card"])
def test_answers_fit_on_a_screen(run: Run, part: str) -> None:
    """In a notebook too; the JSON is whole."""
    answer: Answer = getattr(run, part)()
    assert answer._repr_mimebundle_()["text/plain"] == repr(answer)
    assert len(repr(answer)) < 2100
    assert json.loads(answer.to_json()).keys() == answer.to_dict().keys()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_its_tables(run: Run, copied: Any) -> None:
    """A deep one has parts of its own."""
    found = run.trajectory()
    other = copied(found)
    assert (other, type(other)) == (found, type(found))
    assert other.to_arrow().equals(found.to_arrow())
    assert (other.trajectory is found.trajectory) == (copied is copy.copy)
    logits = run.at(-1).logits()
    assert copied(logits).to_arrow().equals(logits.to_arrow())


def test_what_was_pickled_says_what_to_do(run: Run) -> None:
    """The record and the array are there; the key is not, and so no table either."""
    found, logits = run.trajectory(), run.at(-1).logits()
    data = pickle.dumps([found, logits])
    assert b"business" not in data
    other, array = pickle.loads(data)
    assert other == found
    np.testing.assert_array_equal(array.to_numpy(), logits.to_numpy())
    with Client("http://127.0.0.1:9") as client:
        for ask in (other.to_pandas, array.to_arrow, lambda: client.read([other], "arrow")):
            with pytest.raises(errors.NotHere, match=r"pickled.*: ask for it again"):
                ask()
    assert set(other._repr_mimebundle_()) == {"text/plain"}


def test_tables_end_where_their_records_do(trained: Trained, tmp_path: Path) -> None:
    """Also when the run has gained other checkpoints meanwhile."""
    unfinished = Trained(settings_at(tmp_path), "tiny", trained.config)
    assert killed(unfinished, checkpoints=3, steps=0)
    with (
        serving(unfinished.settings, tmp_path) as served,
        Client(served.url, cache=False) as client,
    ):
        run = client.run("tiny")
        found = {part: getattr(run, part)() for part in SERIES}
        last = run.refresh().latest_step
        assert resume(unfinished.settings, "tiny", JsonReporter()) == 0
        assert eventually(lambda: client.run("tiny").about.status == "complete")
        for part, answer in found.items():
            assert last_step(answer) == last, part
            assert json.loads(answer.to_json()) == json.loads(
                getattr(client.run("tiny"), part)(to_step=last).to_json()
            ), part
            steps = answer.to_pandas()["step"].dropna()
            assert steps.empty or max(steps) <= last, part  # of pairs: when they were learnt
        assert max(client.run("tiny").trajectory().to_pandas()["step"]) > last
