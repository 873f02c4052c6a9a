"""Measures, emergence and weights over the API, compared with definitions and with the file."""

import asyncio
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from grokprobe.analysis.emergence import held, lag, transition
from grokprobe.analysis.measures_table import KEY_MEASURES
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from grokprobe.task import Task, answers, pairs
from tests.service.test_api import LAST, LATEST, RUN, P, get
from tests.support.reference_maths import (
    slow_cross_entropy,
    slow_logit_coefficients,
    slow_projection,
)
from tests.support.served import serving
from tests.support.trained import TINY_STEPS, Trained

ANSWERS = answers(Task(operation="add", modulus=P))


@pytest.fixture(scope="module")
def path(trained: Trained) -> Path:
    """The last checkpoint's file."""
    return trained.folder / "checkpoints" / f"{LATEST:010d}" / "model.onnx"


@pytest.fixture(scope="module")
def logits(path: Path) -> NDArray[np.float64]:
    """The last checkpoint's logits over all pairs, (p*p, p)."""
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float64] = session.run(["logits"], {"pairs": pairs(P)})[0].astype(float)
    return found


@pytest.fixture(scope="module")
def unfinished(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service over the run `tiny` as it was before it ended."""
    home = tmp_path_factory.mktemp("unfinished")
    shutil.copytree(trained.settings.home_path / "store", home / "store")
    (home / "store" / "runs" / "tiny" / "complete.json").unlink()
    settings = Settings(home=str(home), log_format="json")
    asyncio.run(_reindex(settings))
    with serving(settings, home) as served:
        yield served.url


async def _reindex(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        await backends.catalogue.rebuild(backends.archive)


def loss(logits: NDArray[np.float64]) -> float:
    """The mean cross-entropy over all pairs, row by row."""
    return float(np.mean([slow_cross_entropy(r, y) for r, y in zip(logits, ANSWERS, strict=True)]))


def test_the_keys_are_those_of_the_rule(client: httpx.Client, logits: NDArray[np.float64]) -> None:
    """The run's keys explain more than 1 % of the final logits each, with rule and margin."""
    alphas, _, norm = slow_logit_coefficients(logits.reshape(P, P, P), "sum")
    similarity = {k: alpha / norm for k, alpha in enumerate(alphas, 1)}
    expected = [k for k, value in similarity.items() if value > 0.1]
    keys = get(client, f"{LAST}/measures")["keys"]
    assert (keys["frequencies"], keys["rule"], keys["threshold"]) == (expected, "logits", 0.1)
    assert keys["source_step"] == LATEST
    last_in = min(similarity[k] for k in expected)
    first_out = max(value for k, value in similarity.items() if k not in expected)
    assert keys["margin"] == pytest.approx([last_in, first_out], rel=1e-5)


def test_measures_by_definition(client: httpx.Client, logits: NDArray[np.float64]) -> None:
    """Loss, accuracy and the losses with and without the keys are those of the slow twins."""
    found = get(client, f"{LAST}/measures")
    measures, cube = found["measures"], logits.reshape(P, P, P)
    P_of_keys = slow_projection(cube, found["keys"]["frequencies"], "sum").reshape(P * P, P)
    restricted = P_of_keys + logits.mean(axis=0)
    assert measures["loss"] == pytest.approx(loss(logits), rel=1e-5)
    assert measures["accuracy"] == np.mean(logits.argmax(axis=1) == ANSWERS)
    assert measures["restricted_loss"] == pytest.approx(loss(restricted), rel=1e-4)
    assert measures["restricted_accuracy"] == np.mean(restricted.argmax(axis=1) == ANSWERS)
    assert set(measures["excluded_loss_per_key"]) == {str(k) for k in found["keys"]["frequencies"]}
    assert measures["excluded_loss"] > measures["train_loss"]
    assert measures["weight_l2"] == pytest.approx(np.sqrt(measures["weight_norm"]))


def test_stored_and_computed_measures_are_equal(client: httpx.Client) -> None:
    """What complete.json stores is what the same keys, named in a request, give again."""
    stored = get(client, f"{RUN}/checkpoints/200/measures")
    chosen = ",".join(map(str, stored["keys"]["frequencies"]))
    again = get(client, f"{RUN}/checkpoints/200/measures", keys=chosen)
    assert again["keys"]["rule"] == "given"
    assert again["measures"].keys() == stored["measures"].keys()
    for name, value in stored["measures"].items():
        assert again["measures"][name] == pytest.approx(value, rel=1e-5), name


def test_own_keys_are_another_thing(client: httpx.Client) -> None:
    """An early checkpoint has keys of its own, and the run's come from the last."""
    own = get(client, f"{RUN}/checkpoints/first/measures", keys="own")
    assert (own["keys"]["source_step"], own["provisional"]) == (0, False)
    final = get(client, f"{RUN}/checkpoints/first/measures")["keys"]
    assert (final["source_step"], final["frequencies"]) == (LATEST, [1, 3, 4])


@pytest.mark.parametrize("rule", ["logits", "neurons", "embedding"])
def test_every_rule_names_itself(client: httpx.Client, rule: str) -> None:
    """Rule, threshold and source come with the set, whichever rule is asked for."""
    keys = get(client, f"{RUN}/checkpoints/200/measures", key_rule=rule)["keys"]
    assert (keys["rule"], keys["source_step"]) == (rule, LATEST)
    assert keys["threshold"] > 0


def test_the_threshold_is_a_parameter(client: httpx.Client) -> None:
    """A lower one lets more frequencies in, one above all of them leaves none and null measures."""
    low = get(client, f"{LAST}/measures", key_threshold=0.001)["keys"]
    assert (low["threshold"], len(low["frequencies"])) == (0.001, 6)
    none = get(client, f"{LAST}/measures", key_threshold=0.999)
    assert none["keys"]["frequencies"] == []
    assert none["measures"]["restricted_loss"] is None
    assert none["measures"]["train_loss"] is not None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"keys": "7"}, "'7' is neither final, own nor a frequency 1..6"),
        ({"keys": "1,x"}, "'x' is neither"),
        ({"keys": ""}, "'' is neither"),
        ({"keys": "1", "key_rule": "neurons"}, "no rule and no threshold can choose them"),
        ({"keys": "1", "key_threshold": "0.2"}, "no rule and no threshold can choose them"),
        ({"key_rule": "guess"}, "must be one of logits, neurons, embedding"),
        ({"key_rule": "neurons", "key_threshold": "0.1"}, "the rule neurons takes none"),
        ({"key_threshold": "2"}, "key_threshold"),
    ],
)
def test_bad_keys(client: httpx.Client, query: dict[str, str], words: str) -> None:
    """A set or a rule that does not exist is an error that says what does."""
    answer = client.get(f"{LAST}/measures", params=query)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def test_trajectory_of_key_measures(client: httpx.Client) -> None:
    """Measures of key frequencies come from storage, with the keys; per key in JSON and CSV."""
    names = "restricted_accuracy,key_share,excluded_loss_per_key"
    found = get(client, f"{RUN}/trajectory", measures=names)
    assert found["keys"]["frequencies"] == [1, 3, 4]
    assert not found["provisional"]
    last = get(client, f"{LAST}/measures")["measures"]
    for name in names.split(","):
        assert found["trajectory"][-1][name] == last[name]
    lines = client.get(f"{RUN}/trajectory", params={"measures": names, "format": "csv"}).text
    assert lines.splitlines()[0] == f"step,{names}"
    assert '""1"":' in lines.splitlines()[-1]


def test_emergence(client: httpx.Client) -> None:
    """Brackets, transitions and lags are those of the run's own series."""
    found = get(client, f"{RUN}/emergence")
    names = "test_accuracy,train_accuracy,key_share,restricted_accuracy,neurons_clustered"
    rows = get(client, f"{RUN}/trajectory", measures=names)["trajectory"]
    series = {name: [row[name] for row in rows] for name in names.split(",")}
    memorised = held(TINY_STEPS, series["train_accuracy"])
    assert memorised is not None
    assert found["memorised"]["step"] == memorised.step
    assert set(found["series"]) == set(found["lags"]) | {"test_accuracy"}
    test = transition(TINY_STEPS, series["test_accuracy"])
    for name, lags in found["lags"].items():
        expected = lag(transition(TINY_STEPS, series[name]), test, "midpoint")
        assert (lags["midpoint"] is None) == (expected is None)
        if expected is not None:
            assert lags["midpoint"]["steps"] == pytest.approx(expected.steps)
    assert [null["statistic"] for null in found["nulls"]] == ["gini_frequencies", "top_share"]
    assert (found["keys"]["frequencies"], found["provisional"]) == ([1, 3, 4], False)


def test_the_run_with_keys_that_are_named(client: httpx.Client) -> None:
    """Every checkpoint as it is measured alone; the run's own keys give what is stored."""
    found = get(client, f"{RUN}/trajectory", keys="5,2")
    assert (found["keys"]["frequencies"], found["keys"]["rule"]) == ([2, 5], "given")
    assert [row["step"] for row in found["trajectory"]] == TINY_STEPS
    for row in found["trajectory"]:
        alone = get(client, f"{RUN}/checkpoints/{row['step']}/measures", keys="2,5")["measures"]
        assert row == {"step": row["step"], **{name: alone[name] for name in row if name != "step"}}
        assert set(KEY_MEASURES) <= row.keys()
    stored = get(client, f"{RUN}/trajectory", measures="restricted_loss,key_share")
    own = get(client, f"{RUN}/trajectory", measures="restricted_loss,key_share", keys="1,3,4")
    for theirs, ours in zip(stored["trajectory"], own["trajectory"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_emergence_with_keys_that_are_named(client: httpx.Client) -> None:
    """Its series are those of a trajectory with the same keys; no null is of other keys."""
    found = get(client, f"{RUN}/emergence", keys="2,5")
    rows = get(client, f"{RUN}/trajectory", measures="restricted_accuracy,key_share", keys="2,5")
    for name in ("restricted_accuracy", "key_share"):
        expected = transition(TINY_STEPS, [row[name] for row in rows["trajectory"]])
        assert found["series"][name]["rise"] == pytest.approx(expected.rise)
    assert found["keys"]["frequencies"] == [2, 5]
    assert [null["statistic"] for null in found["nulls"]] == ["gini_frequencies"]
    own = get(client, f"{RUN}/emergence", keys="1,3,4")
    assert own["lags"] == get(client, f"{RUN}/emergence")["lags"]


@pytest.mark.parametrize("path", ["trajectory", "emergence"])
def test_given_keys_are_never_provisional(client: httpx.Client, unfinished: str, path: str) -> None:
    """While the run goes on the answer is asked for again each time; of an ended one it is kept."""
    ended = client.get(f"{RUN}/{path}", params={"keys": "2,5"})
    assert ended.headers["cache-control"] == "public, max-age=31536000, immutable"
    running = ask(unfinished, f"{RUN}/{path}", keys="2,5")
    assert (running.json()["provisional"], ended.json()["provisional"]) == (False, False)
    assert running.headers["cache-control"] == "no-cache"
    if path == "trajectory":
        assert running.json() == ended.json()


@pytest.mark.parametrize("path", ["trajectory", "emergence"])
@pytest.mark.parametrize("keys", ["own", "7", "1,x", ""])
def test_keys_of_a_run_that_are_none(client: httpx.Client, path: str, keys: str) -> None:
    """Each checkpoint's own are not one set; the message says what would do."""
    answer = client.get(f"{RUN}/{path}", params={"keys": keys})
    assert answer.status_code == 400
    assert "is neither final nor a frequency 1..6" in answer.json()["detail"]


def test_what_takes_too_long_is_gone_on_with(unfinished: str) -> None:
    """At its deadline a request is told how far it came; asking again goes on from there."""
    query, hurry = {"keys": "1,2,6"}, {"X-Request-Timeout-Ms": "1"}
    for _ in range(1000):
        answer = httpx.get(f"{unfinished}{RUN}/emergence", params=query, headers=hurry, timeout=30)
        if answer.status_code == 200:
            break
        assert answer.status_code in (503, 504)  # 504: it was not even begun
        if answer.status_code == 503:
            assert answer.json()["type"] == "urn:grokprobe:unfinished"
            assert f"of {len(TINY_STEPS)} checkpoints" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) > 0
        hurry = {"X-Request-Timeout-Ms": str(int(hurry["X-Request-Timeout-Ms"]) + 1)}
    assert answer.json()["keys"]["frequencies"] == [1, 2, 6]


def test_the_null_of_the_largest_share(client: httpx.Client) -> None:
    """`statistic` names what permuted rows are compared in; each has its own figures."""
    by_name = {
        name: get(client, f"{LAST}/spectrum", null=100, statistic=name)
        for name in ("max_share", "gini_frequencies")
    }
    for name, found in by_name.items():
        assert found["null"]["statistic"] == name
    largest = max(row["share"] for row in by_name["max_share"]["spectrum"])
    assert by_name["max_share"]["null"]["observed"] == pytest.approx(largest)
    observed = by_name["gini_frequencies"]["gini_frequencies"]
    assert by_name["gini_frequencies"]["null"]["observed"] == pytest.approx(observed)


def test_a_plus_in_a_query(client: httpx.Client) -> None:
    """A + that is not written %2B arrives as a space: the error says how to write it."""
    answer = client.get("/v1/runs?operation=x2+y2")
    assert answer.status_code == 400
    assert "+ is written %2B here: x2%2By2" in answer.json()["detail"]
    assert client.get("/v1/runs?operation=x2%2By2").status_code == 200


def ask(url: str, path: str, **query: Any) -> httpx.Response:
    """The answer of another service, which must succeed."""
    answer = httpx.get(f"{url}{path}", params=query, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    "path", [f"{LAST}/measures", f"{LAST}/spectrum", f"{RUN}/trajectory", f"{RUN}/emergence"]
)
def test_before_the_end_keys_are_provisional(unfinished: str, path: str) -> None:
    """What stands on the run's keys says so, and is not to be cached."""
    answer = ask(unfinished, path)
    assert answer.json()["provisional"] is True
    assert answer.headers["cache-control"] == "no-cache"


def test_a_run_that_goes_on_answers_with_what_is_known(unfinished: str) -> None:
    """The key share comes from stored spectra, restricted accuracy is not known yet."""
    found = ask(unfinished, f"{RUN}/emergence").json()
    assert found["keys"]["source_step"] == LATEST
    assert found["series"]["restricted_accuracy"]["rise"] is None
    assert found["series"]["key_share"]["rise"] is not None
    assert (found["nulls"], found["memorised"] is not None) == ([], True)
    rows = ask(unfinished, f"{RUN}/trajectory", measures="restricted_loss,key_share").json()
    assert all(row["restricted_loss"] is None for row in rows["trajectory"])
    assert rows["trajectory"][-1]["key_share"] > 0
    measures = ask(unfinished, f"{LAST}/measures").json()["measures"]
    assert measures["restricted_loss"] is not None  # one checkpoint is computed when asked for


def test_weights(client: httpx.Client, path: Path) -> None:
    """Names and shapes are the file's, and each array comes back as it was published."""
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    rows = get(client, f"{LAST}/weights")["weights"]
    assert {row["name"]: tuple(row["shape"]) for row in rows} == {
        name: array.shape for name, array in tensors.items()
    }
    for name, array in tensors.items():
        found = np.load(io.BytesIO(client.get(f"{LAST}/weights/{name}").content))
        assert found.dtype == np.float32
        assert np.array_equal(found, array)


def test_an_unknown_weight(client: httpx.Client) -> None:
    """A name that the model does not have is a 404 that lists those it has."""
    answer = client.get(f"{LAST}/weights/W_X")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:grokprobe:weight-missing")
    assert "W_E, W_pos" in answer.json()["detail"]


def test_the_null_of_the_key_share(client: httpx.Client) -> None:
    """Keys of this very checkpoint stand against draws that choose their own, others do not."""
    own = get(client, f"{LAST}/measures", null=100)
    other = get(client, f"{RUN}/checkpoints/100/measures", null=100)
    assert own["key_share_null"]["statistic"] == "top_share"
    assert other["key_share_null"]["statistic"] == "key_share"
    assert other["key_share_null"]["observed"] == pytest.approx(other["measures"]["key_share"])
    assert get(client, f"{LAST}/measures", null=9, keys="1,2,3,4,5,6")["key_share_null"] is None
    assert get(client, f"{LAST}/measures")["key_share_null"] is None
