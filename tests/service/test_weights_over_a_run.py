"""How a run's weights move, over HTTP: against the files themselves, in every format and manner."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from grokprobe.store.backends import open_backends
from grokprobe.store.records import sha256
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from service.v1.run.weights import products
from tests.analysis.test_path import slow_path
from tests.service.test_api import RUN, P, get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_measures import ask, unfinished
from tests.service.test_series import FORMATS, npy, once, rows
from tests.support.reference_maths import slow_spectrum
from tests.support.served import serving
from tests.support.stores import with_loop
from tests.support.tiny import TinyRun, digest_of, tiny_run
from tests.support.trained import TINY_STEPS, Trained, settings_at

__all__ = ["unfinished"]  # a fixture

Weights = dict[str, NDArray[Any]]
WINDOW = 10


@pytest.fixture(scope="module")
def weights(trained: Trained) -> list[Weights]:
    """The parameters of each checkpoint, from its file, in float64."""
    return [
        {
            tensor.name: numpy_helper.to_array(tensor).astype(np.float64)
            for tensor in onnx.load(
                trained.folder / f"checkpoints/{step:010d}/model.onnx"
            ).graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT
        }
        for step in TINY_STEPS
    ]


def flat(weights: Sequence[Weights]) -> NDArray[Any]:
    """Each checkpoint as one vector, (checkpoints, parameters)."""
    return np.array([np.concatenate([w.ravel() for w in one.values()]) for one in weights])


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize("top", [1, 3])
def test_updates_are_those_of_the_files(
    client: httpx.Client, weights: list[Weights], chosen: str, top: int
) -> None:
    """In every format, by the singular values of what changed; the spectrum of the embedding."""
    found = rows(client, f"{RUN}/updates?top={top}", "updates", chosen)
    keys = get(client, f"{RUN}/updates")["keys"]
    assert [row["step"] for row in found] == TINY_STEPS[1:]
    assert [row["previous_step"] for row in found] == TINY_STEPS[:-1]
    for row, before, after in zip(found, weights[:-1], weights[1:], strict=True):
        D = {name: after[name] - before[name] for name in after}
        norms = {name: float(np.linalg.norm(one)) for name, one in D.items()}
        assert row["norms"] == pytest.approx(norms, rel=1e-12)
        assert row["norm"] == pytest.approx(np.linalg.norm(list(norms.values())), rel=1e-12)
        values = {n: np.linalg.svd(one, compute_uv=False) for n, one in D.items() if one.ndim == 2}
        expected = {name: s[0] for name, s in values.items()}
        assert row["top_singular_values"] == pytest.approx(expected, rel=1e-9)
        squares = {name: s**2 for name, s in values.items()}
        expected = {name: one[:top].sum() / one.sum() for name, one in squares.items()}
        assert row["top_shares"] == pytest.approx(expected, rel=1e-9)
        expected = {name: one.sum() ** 2 / (one @ one) for name, one in squares.items()}
        assert row["participation_ratios"] == pytest.approx(expected, rel=1e-9)
        cosine, sine, _ = slow_spectrum(D["W_E"][:P])
        power = np.square(cosine) + np.square(sine)
        np.testing.assert_allclose(row["embedding_power"], power, rtol=1e-9)
        share = sum(power[key - 1] for key in keys) / power.sum()
        assert row["embedding_key_share"] == pytest.approx(share, rel=1e-9)
        assert row["changed"] == []


def test_updates_are_the_distances_of_neighbours(client: httpx.Client) -> None:
    """What `compare` says of the two checkpoints, to the bit; what stands beside the rows."""
    answer = get(client, f"{RUN}/updates")
    assert (answer["run"], answer["provisional"], answer["absent"]) == ("tiny", False, {})
    assert answer["frequencies"] == [1, 2, 3, 4, 5, 6]
    assert answer["keys"] == get(client, f"{RUN}/emergence")["keys"]["frequencies"]
    for row in answer["updates"][::7]:
        sides = {"a": f"tiny/{row['previous_step']}", "b": f"tiny/{row['step']}"}
        compared = get(client, "/v1/compare", **sides)
        assert row["norms"] == {one["name"]: one["distance"] for one in compared["weights"]}
        assert row["norm"] == pytest.approx(compared["all_weights"]["distance"], rel=1e-12)


def test_updates_as_an_array(client: httpx.Client) -> None:
    """The embedding's power, (updates, frequencies)."""
    found = npy(client, f"{RUN}/updates")
    listed = [row["embedding_power"] for row in get(client, f"{RUN}/updates")["updates"]]
    np.testing.assert_array_equal(found, listed)


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_path_is_that_of_the_files(
    client: httpx.Client, weights: list[Weights], chosen: str, count: int
) -> None:
    """In every format, by the singular values of the stacked weights; shares and edges likewise."""
    found = rows(client, f"{RUN}/path?components={count}", "path", chosen)
    assert [row["step"] for row in found] == TINY_STEPS
    coordinates, shares = slow_path(flat(weights), count)
    np.testing.assert_allclose([row["coordinates"] for row in found], coordinates, atol=1e-5)
    answer = get(client, f"{RUN}/path", components=count)
    np.testing.assert_allclose(answer["explained_shares"], shares, rtol=1e-5)
    assert [row["edge"] for row in found[:WINDOW]] == [None] * WINDOW
    updates = np.diff(flat(weights), axis=0)
    for i, row in enumerate(found[WINDOW:]):
        s = np.linalg.svd(updates[i : i + WINDOW], compute_uv=False)
        ratios = s[:-1] / s[1:]
        assert row["edge"] == np.argmax(ratios) + 1
        assert row["edge_ratio"] == pytest.approx(ratios.max(), rel=1e-6)


def test_figures_of_a_path_are_of_32_bits(client: httpx.Client) -> None:
    """Each is the same in every format, and as npy (checkpoints, components)."""
    answer = get(client, f"{RUN}/path")
    listed = [row["coordinates"] for row in answer["path"]]
    assert [list(map(once, row)) for row in listed] == listed
    for chosen in FORMATS:
        assert rows(client, f"{RUN}/path", "path", chosen) == answer["path"]
    found = npy(client, f"{RUN}/path")
    assert (found.shape, str(found.dtype)) == ((len(TINY_STEPS), 3), "float32")
    np.testing.assert_array_equal(found, np.array(listed, np.float32))
    np.testing.assert_array_equal(npy(client, f"{RUN}/path", components=2), found[:, :2])


def test_the_shares_stand_beside_those_of_a_walk(client: httpx.Client) -> None:
    """Of a walk seen at the same steps: its covariance, centred, by its eigenvalues."""
    answer = get(client, f"{RUN}/path", components=2)
    H = np.eye(len(TINY_STEPS)) - 1 / len(TINY_STEPS)
    values = np.linalg.eigvalsh(H @ np.minimum.outer(TINY_STEPS, TINY_STEPS) @ H)[::-1]
    np.testing.assert_allclose(answer["random_walk_shares"], values[:2] / values.sum(), rtol=1e-6)
    assert (answer["components"], answer["window"]) == (2, WINDOW)


def test_parts_of_the_run(client: httpx.Client, weights: list[Weights]) -> None:
    """Updates of these steps are those of the whole; a path is centred over its own checkpoints."""
    whole, query = get(client, f"{RUN}/updates"), {"from_step": 40, "to_step": 100}
    part = get(client, f"{RUN}/updates", **query)
    steps = [40, 60, 80, 100]
    assert part == whole | {"updates": [r for r in whole["updates"] if r["step"] in steps]}
    assert part["updates"][0]["previous_step"] == 20
    at = [TINY_STEPS.index(step) for step in steps]
    coordinates, _ = slow_path(flat([weights[i] for i in at]), 3)
    np.testing.assert_allclose(npy(client, f"{RUN}/path", **query), coordinates, atol=1e-5)


@pytest.mark.parametrize(
    ("query", "updates", "checkpoints"),
    [("to_step=0", 0, 1), ("from_step=401", 0, 0), ("from_step=400", 1, 1), ("to_step=1", 1, 2)],
)
def test_hardly_any_steps(client: httpx.Client, query: str, updates: int, checkpoints: int) -> None:
    """One checkpoint has no path and the first no update; nothing of it is an error."""
    bounds = dict([query.split("=")])
    assert len(get(client, f"{RUN}/updates", **bounds)["updates"]) == updates
    assert npy(client, f"{RUN}/updates", **bounds).shape == (updates, 6)
    answer = get(client, f"{RUN}/path", **bounds)
    assert len(answer["path"]) == checkpoints
    assert (answer["explained_shares"] is None) == (checkpoints < 2)
    assert npy(client, f"{RUN}/path", **bounds).shape == (checkpoints, 3)
    if checkpoints == 1:
        assert answer["path"][0]["coordinates"] == [0, 0, 0]


@pytest.mark.parametrize("what", ["updates", "path"])
def test_a_run_that_goes_on(client: httpx.Client, unfinished: str, what: str) -> None:
    """It says that it is provisional, is asked for again each time, and is else the same."""
    running, ended = ask(unfinished, f"{RUN}/{what}"), get(client, f"{RUN}/{what}")
    assert running.headers["cache-control"] == "no-cache"
    changes = {"provisional": True}
    if what == "updates":
        changes["keys"] = running.json()["keys"]
        for row in (*ended["updates"], *running.json()["updates"]):
            assert row["embedding_key_share"] is not None
    assert {**running.json(), what: 0} == {**ended, **changes, what: 0}
    etag = {"If-None-Match": running.headers["etag"]}
    again = httpx.get(f"{unfinished}{RUN}/{what}", headers=etag)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("updates?top=0", 400, ("top:", ">= 1")),
        ("updates?top=101", 400, ("top:", "<= 100")),
        ("updates?from_step=-1", 400, ("from_step:", ">= 0")),
        ("updates?components=2", 400, ("components:", "is not a parameter")),
        ("path?components=0", 400, ("components:", ">= 1")),
        ("path?components=11", 400, ("components:", "<= 10")),
        ("path?componnts=3", 400, ("componnts:", "did you mean components")),
        ("path?to_step=x", 400, ("to_step:", "integer")),
        ("path?format=xml", 406, ("json, csv, arrow, parquet, npy",)),
    ],
)
def test_bad_questions(
    client: httpx.Client, path: str, status: int, words: tuple[str, ...]
) -> None:
    """What was wrong, and what would do."""
    check_problem(client.get(f"{RUN}/{path}"), status, *words)
    check_problem(client.get(f"/v1/runs/nobody/{path.partition('?')[0]}"), 404, "nobody")


Change = Callable[[onnx.ModelProto], None]


def renamed(model: onnx.ModelProto) -> None:
    """The unembedding under another name."""
    for tensor in model.graph.initializer:
        tensor.name = "W_V" if tensor.name == "W_U" else tensor.name
    for node in model.graph.node:
        node.input[:] = ["W_V" if name == "W_U" else name for name in node.input]


def widened(model: onnx.ModelProto) -> None:
    """One more column of the embedding."""
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        grown = {"W_E": ((0, 0), (0, 1)), "W_U": ((0, 1), (0, 0))}.get(tensor.name)
        if grown:
            tensor.CopyFrom(numpy_helper.from_array(np.pad(array, grown), tensor.name))
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value += 1


def blind(model: onnx.ModelProto) -> None:
    """A model that does not offer its embedding."""
    del model.graph.output[1]
    del model.graph.node[3]


def changed(run: TinyRun, change: Change, steps: Sequence[int]) -> TinyRun:
    """The run with other models at these steps."""
    checkpoints = []
    for manifest, data in run.checkpoints:
        if manifest.step not in steps:
            checkpoints.append((manifest, data))
            continue
        model = onnx.load_model_from_string(data)
        change(model)
        other = model.SerializeToString(deterministic=True)
        record = msgspec.structs.replace(
            manifest.model,
            sha256=sha256(other),
            bytes=len(other),
            outputs=[output.name for output in model.graph.output],
        )
        checkpoints.append((msgspec.structs.replace(manifest, model=record), other))
    digest = digest_of(manifest for manifest, _ in checkpoints)
    completion = msgspec.structs.replace(run.completion, manifests_sha256=digest)
    return replace(run, checkpoints=checkpoints, completion=completion)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over runs of which not everything can be said."""
    settings = settings_at(tmp_path_factory.mktemp("odd"))
    runs = [
        tiny_run("alone", steps=(7,)),
        tiny_run("still", steps=(5, 5 + 10**6)),
        changed(tiny_run("renamed"), renamed, [200]),
        changed(tiny_run("widened"), widened, [200]),
        changed(tiny_run("blind"), blind, [0, 10, 200]),
        changed(tiny_run("half-blind"), blind, [10]),
    ]

    async def publish() -> None:
        async with open_backends(settings) as backends:
            for run in runs:
                await run.publish(backends)

    asyncio.run(publish())
    with serving(settings, settings.home_path) as served:
        yield served.client


def test_a_run_of_one_checkpoint(odd: httpx.Client) -> None:
    """It has moved nowhere."""
    assert get(odd, "/v1/runs/alone/updates")["updates"] == []
    answer = get(odd, "/v1/runs/alone/path")
    [row] = answer["path"]
    assert (row["coordinates"], row["edge"]) == ([0, 0, 0], None)
    assert (answer["explained_shares"], answer["random_walk_shares"]) == (None, None)


def test_two_checkpoints_lie_on_a_line(odd: httpx.Client) -> None:
    """One component explains all of it, of the run and of any walk."""
    answer = get(odd, "/v1/runs/still/path")
    assert answer["explained_shares"] == answer["random_walk_shares"] == [1, 0, 0]
    first, last = (row["coordinates"] for row in answer["path"])
    assert (first[0], first[1:]) == (-last[0], [0, 0])
    [update] = get(odd, "/v1/runs/still/updates")["updates"]
    assert 2 * last[0] == pytest.approx(update["norm"], rel=1e-6)


@pytest.mark.parametrize(
    ("run", "name", "words", "embedding"),
    [
        ("renamed", "W_U", ("of 'W_U' none that is finite", "there [8, 7]"), True),
        ("widened", "W_E", ("of 'W_E' [7, 9]", "there [7, 8]"), False),
    ],
)
def test_weights_of_other_names_or_shapes(
    odd: httpx.Client, run: str, name: str, words: tuple[str, ...], embedding: bool
) -> None:
    """An update names them; a path says where it breaks, and which part has one."""
    before, after = get(odd, f"/v1/runs/{run}/updates")["updates"]
    assert (before["changed"], after["embedding_power"] is not None) == ([], embedding)
    assert name in after["changed"]
    assert name not in after["norms"]
    text = ("to_step:", "step 200 has other weights than step 0", *words, "ask for steps")
    check_problem(odd.get(f"/v1/runs/{run}/path"), 400, *text)
    assert len(get(odd, f"/v1/runs/{run}/path", to_step=10)["path"]) == 2


@pytest.mark.parametrize(("run", "step", "without"), [("blind", 0, 2), ("half-blind", 10, 2)])
def test_a_model_without_an_embedding(odd: httpx.Client, run: str, step: int, without: int) -> None:
    """Weights move all the same; what its embedding would say is null, and said why."""
    answer = get(odd, f"/v1/runs/{run}/updates")
    reason = f"the model of step {step} has no output 'embedding'"
    assert answer["absent"]["embedding_power"] == reason
    assert [row["embedding_power"] for row in answer["updates"]] == [None] * without
    assert all(row["norm"] > 0 for row in answer["updates"])
    assert np.isnan(npy(odd, f"/v1/runs/{run}/updates")).all()
    assert get(odd, f"/v1/runs/{run}/path")["explained_shares"][0] > 0.5


def test_without_key_frequencies(odd: httpx.Client) -> None:
    """No share of them, and why; the power is there."""
    answer = get(odd, "/v1/runs/still/updates")
    assert answer["absent"] == {"embedding_key_share": "the run has no key frequencies"}
    assert answer["updates"][0]["embedding_key_share"] is None
    assert len(answer["updates"][0]["embedding_power"]) == 3


@with_loop
async def test_small_blocks_and_overload(
    trained: Trained, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of four updates give the same; what is kept is not computed again; 429 when full."""
    monkeypatch.setattr(products, "MOST", 4)
    async with open_backends(trained.settings) as backends:
        context = create_context(trained.settings, backends, Runtime())
        transport = httpx.ASGITransport(create_app(context, None))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as small:
            paths = [f"{RUN}/updates", f"{RUN}/path"]
            for _ in range(context.settings.max_in_flight):
                context.inference.admission.take()
            for path in paths:
                answer = await small.get(path)
                assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
            for _ in range(context.settings.max_in_flight):
                context.inference.admission.give_back(0.0)
            answers = [await small.get(path) for path in paths]
            assert [one.status_code for one in answers] == [200, 200]
            found = np.array([row["coordinates"] for row in answers[1].json()["path"]])
            np.testing.assert_allclose(found, npy(client, f"{RUN}/path"), atol=1e-6)
            size = context.derived.size
            again = [await small.get(f"{path}?format=csv") for path in paths]
            assert [one.status_code for one in again] == [200, 200]
            assert context.derived.size == size


@with_loop
async def test_what_takes_long_goes_on(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with how far it came; asked again, blocks that are done are not read again."""
    monkeypatch.setattr(products, "MOST", 4)
    async with open_backends(trained.settings) as backends:
        context = create_context(trained.settings, backends, Runtime())
        transport = httpx.ASGITransport(create_app(context, None))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            read, blocks, go_on = products.UpdateProducts.read, list[int](), asyncio.Event()

            async def slow(self: products.UpdateProducts, block: products.Block) -> NDArray[Any]:
                blocks.append(block.rows.start)
                if len(blocks) == 4:
                    await go_on.wait()
                return await read(self, block)

            monkeypatch.setattr(products.UpdateProducts, "read", slow)
            late = await client.get(f"{RUN}/path", headers={"X-Request-Timeout-Ms": "2000"})
            check_problem(late, 503, "8 of 22 checkpoints have been compared", "send the same")
            go_on.set()
            assert (await client.get(f"{RUN}/path")).status_code == 200
            assert blocks[:4] == [0, 4, 0, 8]
            assert len(blocks) <= 6 + 15 + 1  # each block once, and all before it; one was lost
