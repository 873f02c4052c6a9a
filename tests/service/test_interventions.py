"""Interventions over HTTP: against the changed model itself, and what they refuse."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.fourier import Array
from grokprobe.analysis.interventions.neurons import LINEAR
from grokprobe.analysis.interventions.sets import avoiding_sets, random_sets
from grokprobe.analysis.measures import accuracy, cross_entropy
from grokprobe.store.backends import open_backends
from grokprobe.task import Task, answers, pairs
from tests.service.test_api import get
from tests.service.test_api_errors import check_problem
from tests.service.test_families_served import POWER
from tests.support.reference_interventions import (
    changed_logits,
    slow_cube_without,
    slow_rows_without,
)
from tests.support.served import serving
from tests.support.tiny import tiny_run
from tests.support.trained import TINY, TINY_STEPS, settings_at, tiny_config
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

P = TINY["task"]["modulus"]
ALL = pairs(P)
LAST = f"/v1/runs/tiny/checkpoints/{TINY_STEPS[-1]}"
PARTS = ("all", "train", "test")
Twin = Callable[[list[int]], Array]


def ask(client: httpx.Client, path: str, **body: Any) -> Any:
    """The answer to an intervention that must succeed."""
    answer = client.post(f"{path}/interventions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


class Model:
    """A checkpoint by its file alone: outputs of all pairs, and those of the changed model."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        self.data = client.get(f"{path}/model.onnx").content
        self.logits = self.changed({})

    def changed(self, changes: Mapping[str, Any]) -> Array:
        """The logits with other parameters."""
        return changed_logits(self.data, changes, ALL)


def figures(
    logits: Array, train: NDArray[np.bool_], truth: NDArray[np.int64]
) -> dict[str, tuple[float, float]]:
    """Loss and accuracy by part."""
    masks = {"all": train | True, "train": train, "test": ~train}
    return {
        part: (
            float(cross_entropy(logits[mask], truth[mask]).mean()),
            accuracy(logits[mask], truth[mask]),
        )
        for part, mask in masks.items()
    }


def train_mask(client: httpx.Client, run: str = "tiny") -> NDArray[np.bool_]:
    """Which pairs are train pairs, as predictions say."""
    path = f"/v1/runs/{run}/checkpoints/latest/predictions"
    return np.array([row["split"] == "train" for row in get(client, path)["predictions"]])


def rows_zero(*rows: int) -> Callable[[Array], Array]:
    """A parameter without some of its rows."""

    def change(array: Array) -> Array:
        array[list(rows)] = 0
        return array

    return change


def check(found: Any, twin: Twin, train: NDArray[np.bool_], truth: NDArray[np.int64]) -> None:
    """Every figure of an answer is the twin's: of the set, of each control, of each that avoids."""
    pool, chosen = found["controls"], found["members"]
    first = 1 if found["basis"] else 0
    members = range(first, first + found["pool"])
    drawn = random_sets(members, len(chosen), 100, pool["seed"])
    beside = avoiding_sets(drawn, members, chosen, 100, pool["seed"]).sets
    assert (pool["sets"], pool["every"]) == (len(drawn.sets), drawn.is_every)
    assert pool["avoiding"] == len(beside)
    every = {s: figures(twin(list(s)), train, truth) for s in {tuple(chosen), *drawn.sets, *beside}}
    for part in found["parts"]:
        name = part["part"]

        def near(value: Any, of: str = name) -> Any:
            return pytest.approx(value, rel=2e-4, abs=1e-6), of

        after = every[tuple(chosen)][name]
        assert (part["after"]["loss"], name) == near(after[0])
        assert part["after"]["accuracy"] == pytest.approx(after[1], abs=2 / len(truth))
        for family, sets in (("controls", drawn.sets), ("avoiding", beside)):
            if not sets:
                assert part[family] is None
                continue
            assert (part[family]["losses"], name) == near([every[s][name][0] for s in sets])
            accuracies = [every[s][name][1] for s in sets]
            assert part[family]["accuracies"] == pytest.approx(accuracies, abs=2 / len(truth))
            losses = part[family]["losses"]
            assert part[family]["loss"]["mean"] == pytest.approx(np.mean(losses))
            assert part[family]["loss"]["q05"] == pytest.approx(np.quantile(losses, 0.05))
        worse = sum(x >= part["after"]["loss"] * (1 - 1e-6) for x in part["controls"]["losses"])
        count = len(drawn.sets)
        expected = worse / count if drawn.is_every else (1 + worse) / (1 + count)
        assert part["p_value"] == pytest.approx(expected)
    assert found["p_value"] == found["parts"][0]["p_value"]


def of_logits(model: Model) -> Twin:
    """The logits' own cube without frequencies."""
    L = model.logits.reshape(P, P, P)
    return lambda removed: slow_cube_without(L, removed).reshape(-1, P)


def of_embedding(model: Model) -> Twin:
    """The model with W_E projected, the row of the equals sign as it is."""

    def twin(removed: list[int]) -> Array:
        def change(table: Array) -> Array:
            table[:P] = slow_rows_without(table[:P].astype(float), removed)
            return table

        return model.changed({"W_E": change})

    return twin


def of_heads(model: Model) -> Twin:
    """The model without their rows of W_O."""
    return lambda heads: model.changed(
        {"W_O": rows_zero(*(r for h in heads for r in range(8 * h, 8 * h + 8)))}
    )


def of_neurons(model: Model) -> Twin:
    """The model without their rows of W_out."""
    return lambda removed: model.changed({"W_out": rows_zero(*removed)})


def of_activations(model: Model, neurons: Array) -> Twin:
    """The model without W_out, and what the projected neurons add through W_out W_U."""
    direct = model.changed({"W_out": lambda array: 0 * array})
    added = model.logits - direct
    outward = np.linalg.lstsq(neurons, added, rcond=None)[0]

    def twin(removed: list[int]) -> Array:
        cube = slow_cube_without(neurons.reshape(P, P, -1), removed)
        return direct + cube.reshape(P * P, -1) @ outward

    return twin


def neurons_of(client: httpx.Client, path: str) -> Array:
    """The neurons of all pairs."""
    asked = {"pairs": ALL.tolist(), "include": ["neurons"]}
    rows = client.post(f"{path}/predictions", json=asked).json()["predictions"]
    return np.array([row["neurons"] for row in rows])


@pytest.fixture(scope="module")
def model(served: Any) -> Model:
    """The last checkpoint of `tiny`."""
    return Model(served.client, LAST)


@pytest.mark.parametrize("of", ["logits", "activations", "embedding", "neurons", "heads"])
def test_every_figure_is_that_of_the_changed_model(
    client: httpx.Client, model: Model, of: str
) -> None:
    """Loss and accuracy of the set and of every control, by what ONNX Runtime computes changed."""
    twins: dict[str, Callable[[Model], Twin]] = {
        "logits": of_logits,
        "activations": lambda model: of_activations(model, neurons_of(client, LAST)),
        "embedding": of_embedding,
        "neurons": of_neurons,
        "heads": of_heads,
    }
    chosen = {"neurons": [0, 5, 6, 31], "heads": [1]}.get(of, [2, 5])
    found = ask(client, LAST, of=of, remove=chosen, seed=3)
    method = {"logits": "logits", "activations": "neuron_logit_map", "neurons": "neuron_logit_map"}
    assert found["method"] == method.get(of, "model")
    if found["method"] == "neuron_logit_map":
        assert 0 <= found["missed"] <= LINEAR * np.ptp(model.logits)
    else:
        assert found["missed"] is None
    assert [part["part"] for part in found["parts"]] == list(PARTS)
    check(found, twins[of](model), train_mask(client), answers(Task(modulus=P)))
    manifest = get(client, f"{LAST}/measures")["measures"]
    for part in found["parts"][1:]:
        for figure in ("loss", "accuracy"):
            stored = manifest[f"{part['part']}_{figure}"]
            assert part["before"][figure] == pytest.approx(stored, rel=1e-9)


def test_neurons_are_replaced_by_their_mean(client: httpx.Client, model: Model) -> None:
    """By the model without their rows of W_out, and with as much more in b_out."""
    removed, neurons = list(range(20)), neurons_of(client, LAST)

    def more(b_out: Array) -> Array:
        W_out = np.load(io.BytesIO(client.get(f"{LAST}/weights/W_out").content))
        return np.asarray(b_out + neurons[:, removed].mean(axis=0) @ W_out[removed])

    logits = model.changed({"W_out": rows_zero(*removed), "b_out": more})
    expected = figures(logits, train_mask(client), answers(Task(modulus=P)))
    bodies: list[dict[str, Any]] = [{"remove": removed}, {"keep": list(range(20, 32))}]
    for body in bodies:
        found = ask(client, LAST, of="neurons", by="mean", controls=1, **body)
        for part in found["parts"]:
            assert part["after"]["loss"] == pytest.approx(expected[part["part"]][0], rel=1e-4)


@pytest.mark.parametrize("of", ["logits", "activations", "embedding", "neurons", "heads"])
def test_nothing_taken_out_changes_nothing(client: httpx.Client, of: str) -> None:
    """To the last bit; there is one such set, which is its own control."""
    first = 0 if of in ("neurons", "heads") else 1
    everything = list(range(first, {"neurons": 32, "heads": 2}.get(of, 7)))
    bodies: list[dict[str, Any]] = [{"remove": []}, {"keep": everything}]
    for body in bodies:
        found = ask(client, LAST, of=of, **body)
        assert (found["p_value"], found["controls"]["exist"]) == (1, 1)
        assert all(part["before"] == part["after"] for part in found["parts"])


def test_along_answers_it_is_the_progress_measures(client: httpx.Client) -> None:
    """`excluded_loss` of what is taken out, `restricted_loss` of what is kept."""
    measures = get(client, f"{LAST}/measures", keys="2,5")["measures"]
    out = ask(client, LAST, of="logits", directions="answer", remove=[5, 2])["parts"]
    kept = ask(client, LAST, of="logits", directions="answer", keep=[2, 5])["parts"]
    assert out[1]["after"]["loss"] == pytest.approx(measures["excluded_loss"], rel=1e-6)
    names = ("restricted_loss", "restricted_loss_train", "restricted_loss_test")
    for part, name in zip(kept, names, strict=True):
        assert part["after"]["loss"] == pytest.approx(measures[name], rel=1e-6)
    assert kept[0]["after"]["accuracy"] == pytest.approx(measures["restricted_accuracy"])


def test_answers_are_kept_and_seeded(client: httpx.Client) -> None:
    """The same bytes for the same seed, in whatever order; other controls for another."""
    body = {"of": "neurons", "remove": [3, 1, 2], "controls": 20, "seed": 5, "match": "norm"}
    first = client.post(f"{LAST}/interventions", json=body)
    again = client.post(f"{LAST}/interventions", json=body | {"remove": [1, 2, 3]})
    assert first.content == again.content
    other = ask(client, LAST, **(body | {"seed": 6}))
    one = first.json()
    assert one["controls"] == other["controls"] | {"seed": 5}
    assert (one["controls"]["avoiding"], one["controls"]["match"]) == (2, "norm")
    assert one["parts"][0]["after"] == other["parts"][0]["after"]
    assert one["parts"][0]["controls"]["losses"] != other["parts"][0]["controls"]["losses"]
    alone = ask(client, LAST, **(body | {"controls": 0}))
    assert (
        alone["p_value"] is alone["parts"][0]["controls"] is alone["parts"][0]["avoiding"] is None
    )


def test_formats(client: httpx.Client) -> None:
    """A row a part: JSON, CSV with nested cells as JSON, Arrow and Parquet with all the rest."""
    body = {"of": "logits", "remove": [4]}
    path, rows = f"{LAST}/interventions", ask(client, LAST, **body)["parts"]
    for name in ("arrow", "parquet"):
        data = client.post(path, params={"format": name}, json=body).content
        stream = io.BytesIO(data)
        table = pa.ipc.open_stream(stream).read_all() if name == "arrow" else pq.read_table(stream)
        assert table.to_pylist() == rows
        about = json.loads(table.schema.metadata[b"grokprobe"])
        assert (about["members"], about["controls"]["exist"], about["pool"]) == ([4], 6, 6)
    lines = client.post(path, params={"format": "csv"}, json=body).text.splitlines()
    assert lines[0] == "part,pairs,before,after,p_value,controls,avoiding"
    assert len(lines) == 4
    check_problem(client.post(path, params={"format": "npy"}, json=body), 406, "json")


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({"of": "logits", "remove": [7]}, "$.remove[0]", "7 is not a frequency 1..6"),
        ({"of": "logits", "remove": [0]}, "$.remove[0]", "0 is not a frequency 1..6"),
        ({"of": "embedding", "keep": [1, 99]}, "$.keep[1]", "99 is not a frequency"),
        ({"of": "logits", "remove": [-1]}, "$.remove[0]", ">= 0"),
        ({"of": "logits", "remove": [2, 2]}, "$.remove[1]", "twice"),
        ({"of": "logits", "remove": [1.0]}, "$.remove[0]", "int"),
        ({"of": "logits", "remove": None}, "$.remove", "array"),
        ({"of": "logits", "remove": [1, 2, 3, 4, 5, 6]}, "$.remove", "every frequency 1..6"),
        ({"of": "logits", "keep": []}, "$.keep", "one logit for all pairs, which is chance"),
        (
            {"of": "logits", "directions": "answer", "keep": []},
            "$.keep",
            "one logit for all pairs, which is chance",
        ),
        (
            {"of": "logits", "directions": "answer", "remove": [1, 2, 3, 4, 5, 6]},
            "$.remove",
            "every frequency 1..6: along the answer's directions the mean alone",
        ),
        ({"of": "activations", "keep": []}, "$.keep", "every neuron would have its mean"),
        (
            {"of": "embedding", "remove": [6, 5, 4, 3, 2, 1]},
            "$.remove",
            "every frequency 1..6: every residue would have the same embedding, which is chance",
        ),
        ({"of": "neurons", "remove": [32]}, "$.remove[0]", "32 is not a neuron 0..31"),
        ({"of": "heads", "remove": [2]}, "$.remove[0]", "2 is not a head 0..1"),
        ({"of": "heads", "remove": [0], "layer": 1}, "$.layer", "1 is not a layer 0..0"),
        ({"of": "logits"}, "$", "`remove` or `keep`"),
        ({"of": "logits", "remove": [1], "keep": [2]}, "$", "one of the two"),
        ({"of": "weights", "remove": [1]}, "$.of", "heads"),
        ({"remove": [1]}, "$", "of"),
        ({"of": "logits", "remove": [1], "by": "mean"}, "$.by", "is of neurons alone"),
        ({"of": "heads", "remove": [1], "match": "norm"}, "$.match", "is of neurons alone"),
        ({"of": "neurons", "remove": [1], "layer": 0}, "$.layer", "is of heads alone"),
        ({"of": "embedding", "remove": [1], "directions": "all"}, "$.directions", "logits alone"),
        ({"of": "neurons", "remove": [1], "by": "median"}, "$.by", "zero, mean"),
        ({"of": "logits", "remove": [1], "controls": 1001}, "$.controls", "1000"),
        ({"of": "logits", "remove": [1], "controls": -1}, "$.controls", ">= 0"),
        ({"of": "logits", "remove": [1], "controls": 10**30}, "$.controls", "1000"),
        ({"of": "logits", "remove": [1], "controls": None}, "$.controls", "null"),
        ({"of": "logits", "remove": [1], "seed": -1}, "$.seed", ">= 0"),
        ({"of": "logits", "remove": [1], "seed": 2**53}, "$.seed", "9007199254740991"),
        ({"of": "logits", "remove": [10**40]}, "$.remove[0]", "is not a frequency 1..6"),
        ({"of": "logits", "remove": [True]}, "$.remove[0]", "bool"),
        ({"of": "neurons", "remove": [1] * 9_999}, "$.remove[1]", "twice"),
        ({"of": "heads", "remove": [0], "layer": -1}, "$.layer", ">= 0"),
        ({"of": "logits", "remove": [1], "pear": 1}, "$", "pear"),
    ],
)
def test_what_makes_no_sense_says_why(
    client: httpx.Client, body: dict[str, Any], path: str, words: str
) -> None:
    """400, with the place in the body."""
    answer = client.post(f"{LAST}/interventions", json=body)
    assert check_problem(answer, 400, words)["errors"][0]["path"] == path


OTHERS: dict[str, dict[str, Any]] = {
    "mul": {"task": {"operation": "mul"}},
    "div": {"task": {"operation": "div"}},
    "x2-y2": {"task": {"operation": "x2+y2"}},
    "vocabularies": {"model": {"vocabularies": "separate"}},
}
FAMILIES: dict[str, dict[str, Any]] = {"power": POWER, "gromov": {"family": "mlp", "d_mlp": 32}}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over a few steps of other operations and families, and a model of another form."""
    settings = settings_at(tmp_path_factory.mktemp("others"))
    few = {"training": {"steps": 6, "device": "cpu", "threads": 1}}
    configs = {
        run: tiny_config(training={"steps": 6}, **changes) for run, changes in OTHERS.items()
    }
    for run, section in FAMILIES.items():
        configs[run] = decode_config(TINY | few | {"model": section}, run)
    for run, config in configs.items():
        assert start(settings, config, run, JsonReporter()) == 0

    async def publish() -> None:
        async with open_backends(settings) as backends:
            await tiny_run("foreign", modulus=P).publish(backends)

    asyncio.run(publish())
    with serving(settings, settings.home_path) as served:
        yield served.client


def last(run: str) -> str:
    """The path of a run's last checkpoint."""
    return f"/v1/runs/{run}/checkpoints/latest"


def check_after(
    found: Any, logits: Array, train: NDArray[np.bool_], truth: NDArray[np.int64]
) -> None:
    """Loss and accuracy of the set alone."""
    expected = figures(logits, train, truth)
    for part in found["parts"]:
        loss, share = expected[part["part"]]
        assert part["after"]["loss"] == pytest.approx(loss, rel=2e-4)
        assert part["after"]["accuracy"] == pytest.approx(share, abs=2 / len(truth))


@pytest.mark.parametrize("of", ["logits", "embedding"])
def test_multiplication_is_read_over_its_group(others: httpx.Client, of: str) -> None:
    """By the discrete logarithm: pairs with 0 and class 0 are left out, before and after."""
    found = ask(others, last("mul"), of=of, remove=[1, 6], controls=3)
    assert (found["pool"], found["basis"]["order"]) == (6, 12)
    kept = basis_of(Task(operation="mul", modulus=P)).residues
    model, grid = Model(others, last("mul")), np.ix_(kept, kept, kept)

    def project(table: Array) -> Array:
        table[kept] = slow_rows_without(table[kept].astype(float), [1, 6])
        return table

    whole = model.logits if of == "logits" else model.changed({"W_E": project})
    cube = whole.reshape(P, P, P)[grid]
    logits = (slow_cube_without(cube, [1, 6]) if of == "logits" else cube).reshape(-1, 12)
    elements = np.argsort(kept)  # of the residues 1, 2, ...
    truth = elements[answers(Task(operation="mul", modulus=P)).reshape(P, P)[grid[:2]][..., 0] - 1]
    train = train_mask(others, "mul").reshape(P, P)[np.ix_(kept, kept)]
    assert found["parts"][0]["pairs"] == 144
    check_after(found, logits, train.ravel(), truth.ravel())


def test_pairs_without_an_answer_are_left_out(others: httpx.Client) -> None:
    """Division by 0 has none."""
    found = ask(others, last("div"), of="neurons", remove=[1], controls=3)
    assert found["parts"][0]["pairs"] == P * (P - 1)
    found = ask(others, last("div"), of="logits", remove=[1], controls=3)
    assert found["parts"][0]["pairs"] == (P - 1) ** 2


def test_no_known_basis(others: httpx.Client) -> None:
    """Frequencies of the residues as they stand, and no directions of the answer."""
    found = ask(others, last("x2-y2"), of="logits", remove=[1], controls=3)
    assert found["basis"]["group"] == "no known basis"
    body = {"of": "logits", "remove": [1], "directions": "answer"}
    check_problem(others.post(f"{last('x2-y2')}/interventions", json=body), 400, "choose all")


def test_where_the_map_is_not_exact_the_model_runs(others: httpx.Client) -> None:
    """LayerNorm behind the neurons: of the last layer, and heads of either."""
    path = last("power")
    model, train = Model(others, path), train_mask(others, "power")
    truth = answers(Task(modulus=P))
    found = ask(others, path, of="neurons", remove=[0, 7], controls=3, match="norm")
    assert found["method"] == "model"
    check_after(found, model.changed({"blocks.1.W_out": rows_zero(0, 7)}), train, truth)
    for layer in (1, 0):
        named = {} if layer else {"layer": 0}  # the last unless named
        found = ask(others, path, of="heads", remove=[1], **named)
        assert (found["layer"], found["controls"]["exist"]) == (layer, 2)
        rows = rows_zero(*range(8, 16))
        check_after(found, model.changed({f"blocks.{layer}.W_O": rows}), train, truth)
    body = {"of": "heads", "remove": [1], "layer": 2}
    check_problem(others.post(f"{path}/interventions", json=body), 400, "2 is not a layer 0..1")
    found = ask(others, path, of="activations", keep=[1, 2, 3, 4, 5], controls=3)
    same = ask(others, path, of="activations", remove=[6], controls=3)
    assert found["method"] == same["method"] == "model"
    assert found["parts"][0]["after"] == same["parts"][0]["after"] != found["parts"][0]["before"]


@pytest.mark.parametrize(
    ("run", "tables"), [("vocabularies", ["W_E", "W_E_b"]), ("gromov", ["W_in", "W_in_b"])]
)
def test_every_table_of_the_operands_is_projected(
    others: httpx.Client, run: str, tables: list[str]
) -> None:
    """One for each operand; of one-hot inputs the rows of W_in."""

    def project(table: Array) -> Array:
        table[:P] = slow_rows_without(table[:P].astype(float), [3])
        return table

    found = ask(others, last(run), of="embedding", remove=[3], controls=3)
    logits = Model(others, last(run)).changed(dict.fromkeys(tables, project))
    check_after(found, logits, train_mask(others, run), answers(Task(modulus=P)))


def test_neurons_of_an_mlp(others: httpx.Client) -> None:
    """Through the map, as any; without any neuron all classes tie and the lowest is meant."""
    path = last("gromov")
    found = ask(others, path, of="neurons", remove=[2, 3], controls=3)
    assert found["method"] == "neuron_logit_map"
    logits = Model(others, path).changed({"W_out": rows_zero(2, 3)})
    check_after(found, logits, train_mask(others, "gromov"), answers(Task(modulus=P)))
    none = ask(others, path, of="neurons", keep=[])
    assert none["parts"][0]["after"] == {
        "loss": pytest.approx(np.log(P)),
        "accuracy": pytest.approx(1 / P),
    }
    body = {"of": "heads", "remove": [0]}
    check_problem(others.post(f"{path}/interventions", json=body), 404, "attention", "neurons")


def test_a_model_of_another_form(others: httpx.Client) -> None:
    """It runs where it can be ended; what it lacks is 404 with what it has."""
    path, truth = last("foreign"), answers(Task(modulus=P))
    found = ask(others, path, of="embedding", remove=[1, 4], controls=5)

    def project(table: Array) -> Array:
        return slow_rows_without(table.astype(float), [1, 4])

    logits = Model(others, path).changed({"W_E": project})
    check_after(found, logits, train_mask(others, "foreign"), truth)
    assert ask(others, path, of="logits", remove=[1])["method"] == "logits"
    for of, output in (("neurons", "neurons"), ("activations", "neurons"), ("heads", "attention")):
        body = {"of": of, "remove": [1]}
        check_problem(
            others.post(f"{path}/interventions", json=body), 404, f"'{output}'", "logits, embedding"
        )
