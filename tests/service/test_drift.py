"""A run beside one of its checkpoints: each row against the comparison of the two."""

import io
import json
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.service.test_api import LATEST, get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_formats import READERS
from tests.service.test_api_measures import unfinished
from tests.support.trained import TINY_STEPS

__all__ = ["unfinished"]  # a fixture

DRIFT = "/v1/runs/tiny/drift"


def expected(compared: Any, step: int) -> dict[str, Any]:
    """The row that a comparison with the reference gives."""
    every, changes = compared["all_weights"], compared["keys"]
    weights = compared["weights"]
    return {
        "step": step,
        "identical": compared["identical"] is not None,
        "distance": every["distance"],
        "cosine": every["cosine"],
        "distances": {row["name"]: row["distance"] for row in weights},
        "cosines": {row["name"]: row["cosine"] for row in weights if row["cosine"] is not None},
        "cka": compared["embedding"]["cka"],
        "cka_null_mean": compared["embedding"]["null_mean"],
        "overlap": compared["planes"]["overlap"],
        "chance": compared["planes"]["chance"],
        **{
            f"keys_{change}": [k["frequency"] for k in changes if k["change"] == change]
            for change in ("kept", "gained", "lost")
        },
    }


@pytest.mark.parametrize("reference", ["first", "40", "latest"])
def test_each_row_is_the_comparison(client: httpx.Client, reference: str) -> None:
    """The same numbers as `compare` gives, from the files alone; losses are the manifests'."""
    found = get(client, DRIFT, reference=reference)
    start = {"first": 0, "40": 40, "latest": LATEST}[reference]
    assert (found["reference"], found["provisional"], found["absent"]) == (start, False, {})
    assert [row["step"] for row in found["drift"]] == TINY_STEPS
    for row in found["drift"][:: len(TINY_STEPS) // 4]:
        step = row["step"]
        compared = get(client, "/v1/compare", a=f"tiny/{start}", b=f"tiny/{step}")
        assert {name: row[name] for name in expected(compared, step)} == expected(compared, step)
        for i, split in ((1, "train"), (2, "test")):
            part = compared["parts"][i]
            difference = part["accuracy_b"] - part["accuracy_a"]
            assert row[f"{split}_accuracy_difference"] == pytest.approx(difference)
            assert row[f"{split}_loss_difference"] == pytest.approx(
                part["loss_difference"], rel=1e-4, abs=1e-9
            )


def test_it_is_nowhere_from_itself(client: httpx.Client) -> None:
    """The reference's own row: identical, no distance, no difference, every key kept."""
    [row] = get(client, DRIFT, reference="40", from_step=40, to_step=40)["drift"]
    assert (row["identical"], row["distance"], row["cosine"]) == (True, 0, 1)
    assert set(row["distances"].values()) == {0}
    assert [row["cka"], row["overlap"]] == pytest.approx([1, 1])
    assert (row["keys_gained"], row["keys_lost"]) == ([], [])
    assert row["train_loss_difference"] == row["test_accuracy_difference"] == 0


def test_steps_and_formats(client: httpx.Client) -> None:
    """Some steps, and the same rows in every table."""
    query = {"from_step": 4, "to_step": 60}
    answer = get(client, DRIFT, **query)
    assert [row["step"] for row in answer["drift"]] == [4, 20, 40, 60]
    for chosen, reader in READERS.items():
        table = reader(client.get(DRIFT, params={**query, "format": chosen}).content)
        assert table.to_pylist(maps_as_pydicts="strict") == answer["drift"]
        about = json.loads(table.schema.metadata[b"grokprobe"])
        assert about == {k: v for k, v in answer.items() if k != "drift"}
    frame = pd.read_csv(io.BytesIO(client.get(DRIFT, params={**query, "format": "csv"}).content))
    assert frame["distance"].tolist() == [row["distance"] for row in answer["drift"]]
    assert json.loads(frame["distances"][0]) == answer["drift"][0]["distances"]


def test_manners(client: httpx.Client, unfinished: str) -> None:
    """Kept for a year once the run has ended; before, asked again; 304, and parts."""
    answer = client.get(DRIFT)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    tag = answer.headers["etag"]
    assert client.get(DRIFT, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"{DRIFT}?reference=latest").headers["etag"] != tag
    assert client.get(DRIFT, headers={"Range": "bytes=0-9"}).content == answer.content[:10]
    going_on = httpx.get(f"{unfinished}{DRIFT}", timeout=60)
    assert going_on.headers["cache-control"] == "no-cache"
    assert going_on.json()["provisional"]
    assert going_on.json()["drift"] == answer.json()["drift"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("reference=41", 404, ("41", "nearest: 40, 60")),
        ("reference=newest", 404, ("newest", "latest")),
        ("reference=generalised", 404, ("has not reached",)),
        ("reference=", 404, ()),
        ("from_step=x", 400, ("from_step:", "integer")),
        ("frm_step=1", 400, ("frm_step:", "did you mean from_step")),
        ("format=npy", 406, ("json, csv, arrow, parquet",)),
    ],
)
def test_bad_questions(
    client: httpx.Client, query: str, status: int, words: tuple[str, ...]
) -> None:
    """What was wrong, and what would do."""
    check_problem(client.get(f"{DRIFT}?{query}"), status, *words)
    check_problem(client.get("/v1/runs/nobody/drift"), 404, "nobody")
