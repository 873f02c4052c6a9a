"""Numbers that are not finite in a model's file, through the real service: named, never passed on.

The series read weights from the files, no session opened that would say so.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from grokprobe.store.records import sha256
from tests.service.test_api import get
from tests.service.test_api_errors import check_problem
from tests.support.served import serving
from tests.support.tiny import TinyRun, digest_of, tiny_run
from tests.support.trained import TINY_STEPS, Trained

VALUES = {"nan": np.nan, "inf": np.inf, "minus-inf": -np.inf, "huge": 3e38}
Change = Callable[[onnx.ModelProto], None]


def weighing(value: float, name: str = "W_E") -> Change:
    """One number of a parameter is this."""

    def change(model: onnx.ModelProto) -> None:
        [tensor] = [one for one in model.graph.initializer if one.name == name]
        weights = numpy_helper.to_array(tensor).copy()
        weights[0, 0] = value
        tensor.CopyFrom(numpy_helper.from_array(weights, name))

    return change


def masked(model: onnx.ModelProto, least: float = -np.inf) -> None:
    """The logits are at least minus infinity, as a parameter says."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([least], np.float32), "mask"))
    [last] = [node for node in model.graph.node if "logits" in node.output]
    last.output[0] = "unmasked"
    model.graph.node.append(helper.make_node("Max", ["unmasked", "mask"], ["logits"]))


def masked_less(model: onnx.ModelProto) -> None:
    """They are at least a number."""
    masked(model, -1e9)


def changing(run: TinyRun, changes: dict[int, Change]) -> TinyRun:
    """The same run with other models at some steps, their digests right."""
    checkpoints = []
    for manifest, data in run.checkpoints:
        model = onnx.load_model_from_string(data)
        if change := changes.get(manifest.step):
            change(model)
        made = model.SerializeToString(deterministic=True)
        record = msgspec.structs.replace(manifest.model, sha256=sha256(made), bytes=len(made))
        checkpoints.append((msgspec.structs.replace(manifest, model=record), made))
    digest = digest_of(manifest for manifest, _ in checkpoints)
    completion = msgspec.structs.replace(run.completion, manifests_sha256=digest)
    return replace(run, checkpoints=checkpoints, completion=completion)


@pytest.fixture(scope="module")
def client(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over runs whose step 10 has such a number, and some with a mask, one with none."""
    settings = Settings(home=str(tmp_path_factory.mktemp("home")))
    runs = [changing(tiny_run(name), {10: weighing(value)}) for name, value in VALUES.items()]
    masks: dict[int, Change] = dict.fromkeys((0, 10, 200), masked)
    runs += [tiny_run("plain"), changing(tiny_run("masked"), masks)]
    runs.append(changing(tiny_run("half-masked"), {**masks, 10: masked_less}))
    # The form of our own exports, and a weight that no output shows.
    ours = tiny_run("ours", modulus=13, steps=TINY_STEPS[:2])
    models = {
        step: (trained.folder / f"checkpoints/{step:010d}/model.onnx").read_bytes()
        for step in TINY_STEPS[:2]
    }
    ours = replace(ours, checkpoints=[(m, models[m.step]) for m, _ in ours.checkpoints])
    runs.append(changing(ours, {TINY_STEPS[1]: weighing(np.nan, "W_out")}))

    async def publish() -> None:
        async with open_backends(settings) as backends:
            for run in runs:
                await run.publish(backends.archive)

    asyncio.run(publish())
    with serving(settings, settings.home_path) as served:
        yield served.client
        assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("run", ["nan", "inf", "minus-inf"])
@pytest.mark.parametrize("chosen", ["json", "parquet"])
def test_it_is_named_with_its_step(client: httpx.Client, run: str, chosen: str) -> None:
    """Whatever would be made of it: by series, comparisons, interventions, and the single step."""
    path, one = f"/v1/runs/{run}", f"/v1/runs/{run}/checkpoints/10"
    asked = [f"{path}/coordinates?", f"{path}/coordinates?frequency=2&from_step=10&to_step=10&"]
    asked += [f"{path}/drift?", f"{path}/drift?reference=10&", f"{path}/pairs?", f"{path}/grids?"]
    asked += [f"{path}/updates?"]
    asked += [f"/v1/compare?a={run}/0&b={run}/10&", f"/v1/compare?a={run}/10&b=masked/0&"]
    asked += [f"{one}/embedding?", f"{one}/activations?of=logits&"]
    answers = [client.get(f"{one}format={chosen}") for one in asked]
    for of in ("logits", "embedding"):
        body = {"of": of, "remove": [1]}
        answers.append(client.post(f"{one}/interventions?format={chosen}", json=body))
    for answer in answers:
        problem = check_problem(answer, 500, f"run {run!r} step 10: its output", "is not finite")
        assert problem["type"] == "urn:grokprobe:checkpoint-corrupt"


@pytest.mark.parametrize("run", ["nan", "inf", "minus-inf"])
def test_the_other_steps_are_there(client: httpx.Client, run: str) -> None:
    """Of the series a part that leaves it out; the neighbours compared."""
    for part in ("coordinates", "drift", "path", "pairs", "grids"):
        found = get(client, f"/v1/runs/{run}/{part}", from_step=11)
        assert "200" in json.dumps(found)
    assert get(client, "/v1/compare", a=f"{run}/0", b=f"{run}/200")["identical"] is None


def test_large_numbers_make_no_answer_of_nothing(client: httpx.Client) -> None:
    """Finite as they are, what is made of them may not be: null in JSON, and no error of ours."""
    for part in ("coordinates", "drift"):
        answer = client.get(f"/v1/runs/huge/{part}")
        assert answer.status_code == 200, answer.text
        json.loads(answer.text, parse_constant=pytest.fail)


def test_a_weight_of_our_own_is_named(client: httpx.Client) -> None:
    """Though no output of those that are asked for shows it."""
    step = TINY_STEPS[1]
    for path in ("runs/ours/drift", f"runs/ours/checkpoints/{step}/weights"):
        words = (f"run 'ours' step {step}", "its parameter W_out is not finite")
        problem = check_problem(client.get(f"/v1/{path}"), 500, *words)
        assert problem["type"] == "urn:grokprobe:checkpoint-corrupt"
    assert get(client, "/v1/runs/ours/drift", to_step=0)["drift"][0]["distance"] == 0


def test_a_mask_is_no_fault(client: httpx.Client) -> None:
    """It has no distance, and all else is as in the run without it."""

    def without(rows: Any) -> Any:
        return [row for row in rows if row["name"] != "mask"]

    compared = get(client, "/v1/compare", a="masked/0", b="masked/200")
    [mask] = [row for row in compared["weights"] if row["name"] == "mask"]
    assert (mask["identical"], mask["norm_a"], mask["distance"], mask["cosine"]) == (
        True,
        None,
        None,
        None,
    )
    plain = get(client, "/v1/compare", a="plain/0", b="plain/200")
    assert without(compared["weights"]) == without(plain["weights"])
    assert compared["all_weights"] == plain["all_weights"]
    found = get(client, "/v1/runs/masked/drift")["drift"]
    assert found[-1]["distance"] == compared["all_weights"]["distance"]
    assert set(found[-1]["distances"]) == {"W_E", "W_U"}


@pytest.mark.parametrize("what", ["updates", "path"])
def test_a_mask_moves_nowhere(client: httpx.Client, what: str) -> None:
    """Updates and path are to the bit those of the run without it, and nothing in them is null."""
    found, plain = (get(client, f"/v1/runs/{run}/{what}") for run in ("masked", "plain"))
    assert found == {**plain, "run": "masked"}
    if what == "path":
        assert found["explained_shares"][0] > 0.5
        return
    for row in found["updates"]:
        sides = {"a": f"masked/{row['previous_step']}", "b": f"masked/{row['step']}"}
        compared = get(client, "/v1/compare", **sides)
        assert row["norm"] == pytest.approx(compared["all_weights"]["distance"], rel=1e-12)
        assert set(row["norms"]) == {"W_E", "W_U"}


def test_a_mask_at_some_steps(client: httpx.Client) -> None:
    """Two of its steps that lack a number have no distance; a path of all has no one space."""
    plain = get(client, "/v1/runs/plain/updates")["updates"]
    found = get(client, "/v1/runs/half-masked/updates")["updates"]
    assert found == plain
    asked = "/v1/runs/half-masked/path"
    words = (
        "step 10 has other weights than step 0",
        "of 'mask' [1] float32",
        "none that is finite",
    )
    check_problem(client.get(asked), 400, "to_step:", *words)
    assert get(client, asked, from_step=11)["path"][0]["step"] == 200


@pytest.mark.parametrize("run", ["nan", "inf", "minus-inf"])
def test_a_path_ends_where_a_weight_is_not_finite(client: httpx.Client, run: str) -> None:
    """It says at which step, and of which weight."""
    words = ("step 10 has other weights", "of 'W_E' none that is finite", "there [7, 8] float32")
    check_problem(client.get(f"/v1/runs/{run}/path"), 400, "to_step:", *words)
