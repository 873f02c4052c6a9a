"""Two checkpoints side by side over HTTP: against the definitions, and in every manner."""

import asyncio
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pyarrow.parquet as pq
import pytest
from onnx import numpy_helper

from grokprobe.analysis.comparing.planes import alignment_chance
from grokprobe.store.backends import open_backends
from grokprobe.task import Task, answers, pairs, split
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from service.v1.compare import ROWS
from tests.service.test_api import LATEST, P, get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_formats import READERS
from tests.support.served import serving
from tests.support.slow_comparing import (
    slow_alignment,
    slow_cka,
    slow_divergence,
    slow_longest_axis,
    slow_overlap,
)
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run
from tests.support.trained import TINY, Trained, archive, settings_at, tiny_config
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

A, B = "tiny/40", f"tiny/{LATEST}"
IMMUTABLE = "public, max-age=31536000, immutable"
TABLES = [*ROWS]


def session(trained: Trained, step: int) -> ort.InferenceSession:
    """A checkpoint's file in plain ONNX Runtime."""
    path = trained.folder / "checkpoints" / f"{step:010d}" / "model.onnx"
    return ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def outputs(trained: Trained, step: int) -> dict[str, Any]:
    """What a checkpoint gives for all pairs, in float64."""
    names = ["logits", "neurons", "embedding"]
    found = session(trained, step).run(names, {"pairs": pairs(P)})
    return {name: one.astype(float) for name, one in zip(names, found, strict=True)}


def weights(trained: Trained, step: int) -> dict[str, Any]:
    """The parameters in a checkpoint's file."""
    path = trained.folder / "checkpoints" / f"{step:010d}" / "model.onnx"
    tensors = onnx.load(path).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor).astype(float) for tensor in tensors}


@pytest.fixture(scope="module")
def both(trained: Trained) -> list[dict[str, Any]]:
    """The outputs of the two."""
    return [outputs(trained, step) for step in (40, LATEST)]


def test_answers_by_definition(client: httpx.Client, both: list[dict[str, Any]]) -> None:
    """Divergence by loops, losses and changed pairs, over all pairs and each part."""
    found = get(client, "/v1/compare", a=A, b=B)
    truth = answers(Task(operation="add", modulus=P))
    train = split(Task(operation="add", modulus=P), 0.6, 0)
    logits = [one["logits"] for one in both]
    hits = [one.argmax(axis=1) == truth for one in logits]
    assert [p["split_a"] for p in found["parts"]] == [None, "train", "test"]
    for part, mask in zip(found["parts"], (np.full(P * P, True), train, ~train), strict=True):
        assert (part["split_a"], part["pairs"]) == (part["split_b"], mask.sum())
        x, y = (one[mask].tolist() for one in logits)
        kl = [slow_divergence(u, v) for u, v in zip(x, y, strict=True)]
        back = [slow_divergence(v, u) for u, v in zip(x, y, strict=True)]
        assert part["kl_a_b"] == pytest.approx(np.mean(kl), rel=1e-4)
        assert part["kl_b_a"] == pytest.approx(np.mean(back), rel=1e-4)
        assert part["right_to_wrong"] == np.sum((hits[0] & ~hits[1])[mask])
        assert part["wrong_to_right"] == np.sum((~hits[0] & hits[1])[mask])
    measures = [get(client, f"/v1/runs/tiny/checkpoints/{s}")["measures"] for s in (40, LATEST)]
    for part, name in zip(found["parts"], ("loss", "train_loss", "test_loss"), strict=True):
        expected = [one[name] for one in measures]
        assert [part["loss_a"], part["loss_b"]] == pytest.approx(expected, rel=1e-6)
        assert part["loss_difference"] == part["loss_b"] - part["loss_a"]
    assert found["changed"] == {
        "right_to_wrong": np.flatnonzero(hits[0] & ~hits[1]).tolist(),
        "wrong_to_right": np.flatnonzero(~hits[0] & hits[1]).tolist(),
    }
    assert found["changed"]["wrong_to_right"]


def test_representations_by_definition(client: httpx.Client, both: list[dict[str, Any]]) -> None:
    """CKA by centred Gram matrices; overlap by projections; alignment by singular values."""
    found = get(client, "/v1/compare", a=A, b=B)
    for name in ("embedding", "neurons"):
        expected = slow_cka(both[0][name], both[1][name])
        assert found[name]["cka"] == pytest.approx(expected, rel=1e-5)
    rows = both[0]["embedding"], both[1]["embedding"]
    planes = found["planes"]
    tops = planes["frequencies_a"], planes["frequencies_b"]
    assert planes["overlap"] == pytest.approx(slow_overlap(*rows, *tops), rel=1e-5)
    sets = [
        get(client, f"/v1/runs/tiny/checkpoints/{s}/measures", keys="own")["keys"]["frequencies"]
        for s in (40, LATEST)
    ]
    assert [key["frequency"] for key in found["keys"]] == sorted({*sets[0], *sets[1]})
    for key in found["keys"]:
        k = key["frequency"]
        expected_change = {(1, 1): "kept", (0, 1): "gained", (1, 0): "lost"}
        assert key["change"] == expected_change[k in sets[0], k in sets[1]]
        assert key["alignment"] == pytest.approx(slow_alignment(*rows, k), rel=1e-4)
        assert key["overlap"] == pytest.approx(slow_overlap(*rows, [k], [k]), rel=1e-4)
        assert (key["overlap_chance"], key["alignment_chance"]) == (
            2 / 16,
            pytest.approx(alignment_chance(*rows, k), rel=1e-4),
        )
        apart = key["phase_b"] - slow_longest_axis(rows[1], k)
        assert np.cos(2 * apart) == pytest.approx(1, abs=1e-5)


def test_weights_by_definition(client: httpx.Client, trained: Trained) -> None:
    """Distance and cosine of each parameter of the files, and of all as one vector."""
    found = get(client, "/v1/compare", a=A, b=B)
    one, other = weights(trained, 40), weights(trained, LATEST)
    assert [row["name"] for row in found["weights"]] == list(one)
    for row in found["weights"]:
        x, y = one[row["name"]].ravel(), other[row["name"]].ravel()
        assert row["distance"] == pytest.approx(np.linalg.norm(x - y))
        if row["cosine"] is not None:
            assert row["cosine"] == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    x, y = (np.concatenate([w.ravel() for w in side.values()]) for side in (one, other))
    assert found["all_weights"]["distance"] == pytest.approx(np.linalg.norm(x - y))
    assert (found["identical"], found["absent"]) == (None, {})


def test_the_other_way_round(client: httpx.Client) -> None:
    """Sides are exchanged, signs turned, gained is lost; what is symmetric is the same number."""
    there, back = get(client, "/v1/compare", a=A, b=B), get(client, "/v1/compare", a=B, b=A)
    for one, other in zip(there["parts"], back["parts"], strict=True):
        assert (one["kl_a_b"], one["loss_a"]) == (other["kl_b_a"], other["loss_b"])
        assert one["loss_difference"] == -other["loss_difference"]
        assert one["right_to_wrong"] == other["wrong_to_right"]
    assert there["changed"]["wrong_to_right"] == back["changed"]["right_to_wrong"]
    for name in ("embedding", "neurons"):
        assert there[name]["cka"] == pytest.approx(back[name]["cka"], rel=1e-6)
    assert there["planes"]["overlap"] == pytest.approx(back["planes"]["overlap"])
    assert there["all_weights"] == back["all_weights"]
    turned = {"kept": "kept", "gained": "lost", "lost": "gained"}
    for one, other in zip(there["keys"], back["keys"], strict=True):
        assert turned[one["change"]] == other["change"]
        assert one["alignment"] == pytest.approx(other["alignment"])
        assert one["alignment_chance"] == pytest.approx(other["alignment_chance"])
        assert one["phase_a"] == other["phase_b"]


def test_a_checkpoint_with_itself(client: httpx.Client) -> None:
    """The same bytes: nothing changed, no distance, everything alike."""
    found = get(client, "/v1/compare", a=B, b="tiny/latest")
    assert found["identical"] == "bytes"
    for part in found["parts"]:
        names = ("changed", "right_to_wrong", "loss_difference", "kl_a_b", "kl_b_a")
        assert [part[name] for name in names] == [0] * 5
    assert all(row["identical"] and row["distance"] == 0 for row in found["weights"])
    assert found["all_weights"] == {"distance": 0, "cosine": 1}
    assert found["embedding"]["cka"] == pytest.approx(1)
    assert found["neurons"]["cka"] == pytest.approx(1)
    assert found["planes"]["overlap"] == pytest.approx(1)
    assert {key["change"] for key in found["keys"]} == {"kept"}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("chosen", ["csv", "arrow", "parquet"])
def test_tables(client: httpx.Client, table: str, chosen: str) -> None:
    """Each list has its table, in every format the same rows as JSON has."""
    answer = get(client, "/v1/compare", a=A, b=B)
    rows = answer[table] if table != "pairs" else None
    got = client.get("/v1/compare", params={"a": A, "b": B, "table": table, "format": chosen})
    assert got.status_code == 200
    frame = (
        pd.read_csv(io.BytesIO(got.content))
        if chosen == "csv"
        else READERS[chosen](got.content).to_pandas()
    )
    if rows is None:
        changed = answer["changed"]
        numbers = sorted([*changed["right_to_wrong"], *changed["wrong_to_right"]])
        assert (frame["a"] * P + frame["b"]).tolist() == numbers
        assert ((frame["a"] + frame["b"]) % P == frame["answer"]).all()
        lost = frame[frame["change"] == "right_to_wrong"]
        assert (lost["a"] * P + lost["b"]).tolist() == changed["right_to_wrong"]
    else:
        assert list(frame.columns) == list(rows[0])
        assert len(frame) == len(rows)
        numeric = [n for n, v in rows[-1].items() if isinstance(v, float)]
        for name in numeric:
            expected = [np.nan if row[name] is None else row[name] for row in rows]
            np.testing.assert_allclose(frame[name].astype(float), expected)
    if chosen == "parquet":
        metadata = pq.read_schema(io.BytesIO(got.content)).metadata[b"grokprobe"]
        assert json.loads(metadata)["identical"] is None


def test_labels_are_numbered(client: httpx.Client) -> None:
    """A label is not kept unasked, and names the address that is; both have one ETag."""
    by_label = client.get("/v1/compare", params={"a": "tiny/first", "b": "tiny/latest"})
    address = by_label.headers["content-location"]
    assert address == f"/v1/compare?a=tiny/0&b=tiny/{LATEST}"
    assert by_label.headers["cache-control"] == "no-cache"
    numbered = client.get(address)
    assert (numbered.text, numbered.headers["etag"]) == (by_label.text, by_label.headers["etag"])
    assert numbered.headers["cache-control"] == IMMUTABLE
    assert "content-location" not in numbered.headers


def test_what_never_changes(client: httpx.Client) -> None:
    """304 by the ETag, which differs by question; HEAD; ranges of the very same bytes."""
    path = f"/v1/compare?a={A}&b={B}"
    answer = client.get(path)
    tag = answer.headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    others = [f"{path}&format=csv", f"{path}&table=keys", f"/v1/compare?a={B}&b={A}"]
    assert len({tag, *(client.get(other).headers["etag"] for other in others)}) == 4
    assert client.get(f"/v1/compare?b={B}&a={A}").headers["etag"] == tag
    plain = client.get(path, headers={"Accept-Encoding": "identity"}).content
    assert client.head(path).headers["content-length"] == str(len(plain))
    part = client.get(path, headers={"Range": "bytes=5-24"})
    assert (part.status_code, part.content) == (206, plain[5:25])
    assert client.get(path, headers={"If-Match": '"other"'}).status_code == 412
    private = client.get(path, headers={"Authorization": "Bearer x"}).headers["cache-control"]
    assert private == IMMUTABLE.replace("public", "private")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 400, ("a:", "is missing", "RUN/STEP")),
        (f"a={A}", 400, ("b:", "is missing")),
        (f"a=tiny&b={B}", 400, ("a:", "RUN/STEP", "'tiny'")),
        (f"a=tiny/&b={B}", 400, ("a:", "RUN/STEP")),
        (f"a=/40&b={B}", 400, ("a:", "RUN/STEP")),
        (f"a=tiny/40/1&b={B}", 400, ("a:", "RUN/STEP")),
        (f"a=&b={B}", 400, ("a:", "RUN/STEP")),
        (f"a={A}&b={B}&c=1", 400, ("c:", "is not a parameter")),
        (f"a={A}&a={A}&b={B}", 400, ("a:", "more than once")),
        (f"a={A}&b={B}&table=x", 400, ("table:", "parts, weights, keys, pairs")),
        (f"a=nobody/40&b={B}", 404, ("nobody",)),
        (f"a=../40&b={B}", 404, ()),
        (f"a=tiny/41&b={B}", 404, ("41", "nearest: 40, 60")),
        (f"a={A}&b=tiny/newest", 404, ("newest", "latest")),
        (f"a={A}&b=tiny/generalised", 404, ("has not reached", "generalised")),
        (f"a={A}&b=tiny/{'9' * 400}", 404, ()),
        (f"a={A}&b={B}&format=npy", 406, ("json, csv, arrow, parquet",)),
    ],
)
def test_bad_questions(
    client: httpx.Client, query: str, status: int, words: tuple[str, ...]
) -> None:
    """What was wrong, where, and what would do."""
    check_problem(client.get(f"/v1/compare?{query}"), status, *words)


@pytest.fixture(scope="module")
def several(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over `tiny` and others: another seed and split, an MLP, another modulus."""
    settings = settings_at(tmp_path_factory.mktemp("several"))
    store = settings.home_path / "store"
    shutil.copytree(trained.settings.home_path / "store", store)
    short = TINY["training"] | {"steps": 20}
    mlp = TINY | {"training": short, "model": {"family": "mlp", "d_mlp": 24}}
    configs = {
        "other": tiny_config(training=short | {"seed": 1}, task={"split_seed": 1}),
        "mlp": decode_config(mlp, "mlp"),
        "larger": tiny_config(training=short, task={"modulus": 17}),
    }
    for run, config in configs.items():
        assert start(settings, config, run, JsonReporter()) == 0
    bare = tiny_run("bare", modulus=P)  # no neurons, no key frequencies
    asyncio.run(bare.publish(archive(settings)))
    with serving(settings, settings.home_path) as served:
        yield served.client


def test_two_seeds_and_splits(several: httpx.Client) -> None:
    """Four parts that add up to all, planes that overlap by chance, and the keys' alignment."""
    found = get(several, "/v1/compare", a="tiny/latest", b="other/latest")
    every, *parts = found["parts"]
    assert len({(part["split_a"], part["split_b"]) for part in parts}) == 4
    for name in ("pairs", "changed", "right_to_wrong", "wrong_to_right"):
        assert every[name] == sum(part[name] for part in parts)
    assert (found["absent"], found["identical"]) == ({}, None)
    assert found["planes"]["chance"] == 10 / 16
    assert abs(found["planes"]["overlap"] - found["planes"]["chance"]) < 0.2
    assert all(0 <= key["alignment"] <= 1 for key in found["keys"])
    rows = several.get("/v1/compare?a=tiny/latest&b=other/latest&table=pairs&format=csv").text
    assert {"train,test", "test,train"} & {row.split(",", 4)[4] for row in rows.splitlines()}


def test_two_architectures(several: httpx.Client) -> None:
    """What both have is compared; of the rest is said who lacks it, or why it cannot be."""
    found = get(several, "/v1/compare", a="tiny/latest", b="mlp/latest")
    assert found["absent"] == {"planes": "the embeddings are 16 and 24 wide"}
    names = {row["name"]: row for row in found["weights"]}
    assert (names["W_E"]["shape_b"], names["W_E"]["distance"]) == (None, None)
    assert names["W_in"]["shape_a"] != names["W_in"]["shape_b"]
    assert 0 < found["neurons"]["cka"] <= 1
    assert found["parts"][0]["kl_a_b"] > 0
    bare = get(several, "/v1/compare", a="tiny/latest", b="bare/latest")
    assert bare["absent"] == {
        "neurons": "the model of b has no output 'neurons'",
        "planes": "the embeddings are 16 and 8 wide",
        "keys": "no key frequencies are stored with b",
    }
    assert (bare["neurons"], bare["keys"]) == (None, None)
    alone = get(several, "/v1/compare", a="bare/first", b="bare/latest")["absent"]
    assert alone["neurons"] == "neither model has an output 'neurons'"
    drift = get(several, "/v1/runs/bare/drift")["absent"]
    assert drift == {"keys": "no key frequencies are stored with step 0"}


def test_two_tasks(several: httpx.Client) -> None:
    """400 that says what each is."""
    words = ("b:", "modulo 13", "modulo 17", "'tiny/latest'", "'larger/first'")
    check_problem(several.get("/v1/compare?a=tiny/latest&b=larger/first"), 400, *words)


@with_loop
async def test_overload_and_access(tmp_path: Path) -> None:
    """Without a permit 429 with Retry-After; what is kept is not computed again."""
    async with open_backends(settings_at(tmp_path)) as backends:
        await tiny_run().publish(backends)
        context = create_context(settings_at(tmp_path), backends, Runtime())
        transport = httpx.ASGITransport(create_app(context, None))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            paths = ["/v1/compare?a=tiny/0&b=tiny/10", "/v1/runs/tiny/drift"]
            for _ in range(context.settings.max_in_flight):
                context.inference.admission.take()
            for path in paths:
                answer = await client.get(path)
                assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
            for _ in range(context.settings.max_in_flight):
                context.inference.admission.give_back(0.0)
            answers = [await client.get(path) for path in paths]
            size = context.derived.size
            assert [one.status_code for one in answers] == [200, 200]
            again = [await client.get(path) for path in paths]
            assert [one.content for one in again] == [one.content for one in answers]
            assert context.derived.size == size
            await client.get("/v1/compare?a=tiny/0&b=tiny/10&table=pairs&format=csv")
            assert context.derived.size == size
