"""The story, by HTTP alone: memorised first, generalised later, circles in between."""

from typing import Any

import httpx
import pytest

from tests.support.served import Quickstart

RUN = "/v1/runs/quickstart"


@pytest.fixture
def client(quickstart: Quickstart) -> httpx.Client:
    """A client of the service over the real quickstart run."""
    return quickstart.served.client


def get(client: httpx.Client, path: str) -> Any:
    """The JSON of a GET that must succeed."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_earlier_checkpoints_answer_while_later_ones_are_trained(quickstart: Quickstart) -> None:
    """While the status was `running` the service answered for checkpoints already published."""
    earlier = {step for step in quickstart.answered_while_training if step < 3_000}
    assert len(earlier) >= 5


def test_the_run_is_complete(client: httpx.Client) -> None:
    """At least 40 checkpoints, and it says when it memorised and when it generalised."""
    run = get(client, RUN)
    assert run["status"] == "complete"
    assert run["checkpoint_count"] >= 40
    assert run["memorised_step"] <= 400 < run["generalised_step"] <= 3_000


def test_memorised_long_before_generalised(client: httpx.Client) -> None:
    """Train accuracy reaches .99 by step 400 with test accuracy below .2; both end above .99."""
    rows = {row["step"]: row for row in get(client, f"{RUN}/trajectory")["trajectory"]}
    assert rows[400]["train_accuracy"] >= 0.99
    assert rows[400]["test_accuracy"] < 0.2
    last = rows[max(rows)]
    assert min(last["train_accuracy"], last["test_accuracy"]) >= 0.99


def test_the_power_moves_into_five_frequencies(client: httpx.Client) -> None:
    """The final five hold less than .4 of the power when memorised and more than .75 at the end."""
    shares = {
        label: {
            row["frequency"]: row["share"]
            for row in get(client, f"{RUN}/checkpoints/{label}/spectrum")["spectrum"]
        }
        for label in ("memorised", "latest")
    }
    final = shares["latest"]
    five = sorted(final, key=lambda k: final[k])[-5:]
    assert sum(shares["memorised"][k] for k in five) < 0.4
    assert sum(final[k] for k in five) > 0.75


def test_the_residues_end_on_a_circle(client: httpx.Client) -> None:
    """At the end the strongest frequency fits a circle far above its null; at step 0, inside it."""
    last = get(client, f"{RUN}/checkpoints/latest/embedding")["circle"]
    assert last["r_squared"] >= 0.95
    assert last["null"]["max"] < 0.8
    assert last["null"]["p_value"] == pytest.approx(1 / 201)
    first = get(client, f"{RUN}/checkpoints/first/embedding")["circle"]
    assert first["r_squared"] <= first["null"]["max"]
    assert first["null"]["p_value"] > 0.05


def test_the_spectrum_is_significant_at_the_end_only(client: httpx.Client) -> None:
    """The spectrum's null: at its floor at the end, not significant at step 0."""
    p_values = [
        get(client, f"{RUN}/checkpoints/{label}/spectrum?null=200")["null"]["p_value"]
        for label in ("first", "latest")
    ]
    assert p_values[0] > 0.05
    assert p_values[1] == pytest.approx(1 / 201)


def test_the_function_emerges_before_generalisation(client: httpx.Client) -> None:
    """The key frequencies alone answer right long before test accuracy rises, and that resolves."""
    found = get(client, f"{RUN}/emergence")
    assert (found["memorised"]["confirmed"], found["generalised"]["confirmed"]) == (True, True)
    assert found["generalised"]["previous_step"] < found["generalised"]["step"]
    lag = found["lags"]["restricted_accuracy"]["midpoint"]
    assert lag["resolved"]
    assert lag["high"] < 0
    assert lag["steps"] < found["lags"]["key_share"]["midpoint"]["steps"]
    assert 2 <= len(found["keys"]["frequencies"]) <= 6
    assert [null["p_value"] for null in found["nulls"]] == pytest.approx([1 / 201] * 2)
    assert found["phases"]["cleanup"]["end"] <= 3_000


def intervene(client: httpx.Client, **body: Any) -> Any:
    """The answer to an intervention on the last checkpoint, of all pairs."""
    answer = client.post(f"{RUN}/checkpoints/latest/interventions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["parts"][0]


def test_the_key_frequencies_do_the_work_and_others_none(client: httpx.Client) -> None:
    """Without them next to nothing is left, without as many others all; alone they are enough."""
    keys = get(client, RUN)["key_frequencies"]
    found = intervene(client, of="logits", remove=keys)
    assert found["before"]["accuracy"] > 0.99
    assert found["after"]["accuracy"] < 0.1
    assert found["p_value"] == pytest.approx(1 / 101)
    assert found["avoiding"]["accuracy"]["min"] > 0.99
    kept = intervene(client, of="logits", keep=keys)
    assert kept["after"]["accuracy"] > 0.99
    assert kept["p_value"] == pytest.approx(1 / 101)
    assert kept["avoiding"]["accuracy"]["max"] < 0.1


def test_clustered_neurons_are_as_good_as_any(client: httpx.Client) -> None:
    """Most are clustered: without them it fails, and no more than without as many at random."""
    rows = get(client, f"{RUN}/checkpoints/latest/neurons")["neurons"]
    clustered = [row["neuron"] for row in rows if row["fve"] >= 0.85]
    assert len(clustered) > 0.6 * len(rows)
    found = intervene(client, of="neurons", remove=clustered)
    assert found["after"]["accuracy"] < 0.6
    assert found["p_value"] > 0.02
    assert found["avoiding"] is None
