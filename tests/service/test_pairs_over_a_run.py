"""What a run answers to every pair, over HTTP: grids, and when each pair was learnt."""

import asyncio
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grokprobe.store.backends import open_backends
from service.runs import views
from tests.service.test_api import RUN, P, get
from tests.service.test_api_measures import unfinished
from tests.service.test_caching import begin, go_on, in_process
from tests.support.reference_pairs import slow_learning, slow_mirrors, slow_pair_sum
from tests.support.served import Served, serving
from tests.support.stores import with_loop
from tests.support.tiny import TinyRun, answering, digest_of, tiny_run
from tests.support.trained import TINY_STEPS, settings_at, tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

__all__ = ["unfinished"]  # a fixture

replace = msgspec.structs.replace
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def singles(served: Served) -> dict[int, Rows]:
    """What every single checkpoint answers to every pair, by step."""
    return {step: predictions(served.client, RUN, step) for step in TINY_STEPS}


def predictions(client: httpx.Client, run: str, step: int) -> Rows:
    """What a single checkpoint answers."""
    rows: Rows = get(client, f"{run}/checkpoints/{step}/predictions")["predictions"]
    return rows


def npy(client: httpx.Client, path: str, **query: Any) -> Any:
    """The array of a GET."""
    answer = client.get(path, params={**query, "format": "npy"})
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


@pytest.mark.parametrize("of", ["predicted", "correct"])
def test_grids_are_those_of_single_steps(
    client: httpx.Client, singles: dict[int, Rows], of: str
) -> None:
    """Equal at every checkpoint, as JSON and as the array that a page scrubs through."""
    answer = get(client, f"{RUN}/grids", of=of)
    assert (answer["of"], answer["modulus"], answer["provisional"]) == (of, P, False)
    expected = [{"step": s, "values": [row[of] for row in rows]} for s, rows in singles.items()]
    assert answer["grids"] == expected
    values = np.array([row["values"] for row in expected])
    found = npy(client, f"{RUN}/grids", of=of)
    assert found.dtype == np.uint8
    if of == "correct":
        assert found.shape == (len(TINY_STEPS), -(-P * P // 8))
        found = np.unpackbits(found, axis=1, count=P * P)
    assert np.array_equal(found, values)


def test_tables_carry_the_smallest_types(client: httpx.Client) -> None:
    """Booleans, and bytes for residues: a column of arrays with a value for each pair."""
    for of, kind in (("correct", "bool"), ("predicted", "uint8")):
        data = client.get(f"{RUN}/grids", params={"of": of, "format": "arrow"}).content
        assert str(pa.ipc.open_stream(data).schema.field("values").type) == (
            f"fixed_size_list<item: {kind}>[{P * P}]"
        )
        data = client.get(f"{RUN}/grids", params={"of": of, "format": "parquet"}).content
        assert pq.read_schema(io.BytesIO(data)).field("values").type.value_type == kind


@pytest.mark.parametrize(
    "window", [{"from_step": 20}, {"to_step": 4}, {"from_step": 1, "to_step": 1}]
)
def test_windows(client: httpx.Client, singles: dict[int, Rows], window: dict[str, int]) -> None:
    """The steps from one to another, both included; learnt is up to the last of them."""
    steps = [s for s in TINY_STEPS if window.get("from_step", 0) <= s <= window.get("to_step", 999)]
    answer = get(client, f"{RUN}/grids", **window)
    assert [row["step"] for row in answer["grids"]] == steps
    whole = npy(client, f"{RUN}/grids")
    part = [TINY_STEPS.index(step) for step in steps]
    assert np.array_equal(npy(client, f"{RUN}/grids", **window), whole[part])
    pairs = get(client, f"{RUN}/pairs", **window)
    assert (pairs["first_step"], pairs["last_step"]) == (steps[0], steps[-1])
    check_pairs(pairs, steps, [singles[step] for step in steps])


def test_no_step_is_no_error(client: httpx.Client) -> None:
    """Nothing is known of a window without a checkpoint, and that is the answer."""
    window = {"from_step": 10**9}
    assert get(client, f"{RUN}/grids", **window)["grids"] == []
    assert npy(client, f"{RUN}/grids", **window).shape == (0, P * P)
    assert npy(client, f"{RUN}/grids", of="correct", **window).shape == (0, -(-P * P // 8))
    answer = get(client, f"{RUN}/pairs", **window)
    assert (answer["first_step"], answer["last_step"]) == (None, None)
    for row in answer["pairs"]:
        assert (row["step"], row["previous_step"], row["margin"], row["lost"]) == (None,) * 3 + (0,)
    assert answer["mirror"]["steps"] == []
    assert {row["margin"] for row in answer["by_answer"]} == {None}


def check_pairs(answer: Any, steps: Sequence[int], films: list[Rows]) -> None:
    """Fail unless the learning order is that of its definition, from single predictions."""
    for row, *film in zip(answer["pairs"], *films, strict=True):
        single = film[-1]
        names = ("a", "b", "answer", "split")
        assert [row[name] for name in names] == [single[name] for name in names]
        none = -1 if row["answer"] is None else row["answer"]
        learnt, lost = slow_learning([each["predicted"] for each in film], none)
        step = steps[learnt] if learnt >= 0 else None
        previous = steps[learnt - 1] if learnt > 0 else None
        assert (row["step"], row["previous_step"]) == (step, previous)
        assert row["lost"] == (None if none < 0 else lost)


def test_pairs_are_learnt_when_they_are(client: httpx.Client, singles: dict[int, Rows]) -> None:
    """From each single checkpoint's predictions, by loops; the margin is that of its logits."""
    answer = get(client, f"{RUN}/pairs")
    check_pairs(answer, TINY_STEPS, list(singles.values()))
    logits = npy(client, f"{RUN}/checkpoints/{TINY_STEPS[-1]}/logits")
    train = {(row["a"], row["b"]) for row in answer["pairs"] if row["split"] == "train"}
    for row, values in zip(answer["pairs"], logits.astype(np.float64).tolist(), strict=True):
        own = values.pop(row["answer"])
        assert row["margin"] == np.float32(own - max(values))
        assert row["mirror_in_train"] == ((row["b"], row["a"]) in train)


@pytest.mark.parametrize("by", ["answer", "difference", "mirror"])
def test_sums(client: httpx.Client, by: str) -> None:
    """Of each group in each part of the split, from the pairs; the same by itself in any form."""
    answer = get(client, f"{RUN}/pairs")
    rows = answer["pairs"]
    groupings: dict[str, Callable[[dict[str, Any]], int]] = {
        "answer": lambda row: row["answer"],
        "difference": lambda row: (row["a"] - row["b"]) % P,
        "mirror": lambda row: int(row["mirror_in_train"]),
    }
    group_of = groupings[by]
    numbers = {step: number for number, step in enumerate(TINY_STEPS)} | {None: -1}
    learnt, lost = [numbers[row["step"]] for row in rows], [row["lost"] for row in rows]
    margins = [row["margin"] for row in rows]
    found = answer[f"by_{by}"]
    assert found == get(client, f"{RUN}/pairs", by=by)["sums"]
    for one in found:
        of = [
            i
            for i, row in enumerate(rows)
            if (group_of(row), row["split"]) == (one["group"], one["split"])
        ]
        pairs, known, half, times, margin = slow_pair_sum(of, learnt, lost, margins)
        assert (one["pairs"], one["learnt"], one["lost"]) == (pairs, known, times)
        assert one["half_step"] == (TINY_STEPS[half] if half >= 0 else None)
        assert one["half_previous_step"] == (TINY_STEPS[half - 1] if half > 0 else None)
        assert one["margin"] == pytest.approx(margin)
    assert sum(one["pairs"] for one in found) == P * P
    array = npy(client, f"{RUN}/pairs", by=by)
    codes: dict[Any, Any] = {"train": 1, "test": 0, None: np.nan}
    expected = [[codes.get(v, v) for v in one.values()] for one in found]
    np.testing.assert_array_equal(array, np.array(expected, dtype=float))


def test_pairs_as_an_array(client: httpx.Client) -> None:
    """Step, previous step, lost and margin of each pair; NaN where there is none."""
    rows = get(client, f"{RUN}/pairs")["pairs"]
    expected = [[row[n] for n in ("step", "previous_step", "lost", "margin")] for row in rows]
    np.testing.assert_array_equal(npy(client, f"{RUN}/pairs"), np.array(expected, dtype=float))


def test_the_share_of_mirrors(client: httpx.Client, singles: dict[int, Rows]) -> None:
    """At every checkpoint, by loops over a and b; that of the step that memorised stands alone."""
    found = get(client, f"{RUN}/pairs")["mirror"]
    assert found["commutes"] is True
    for row, (step, rows) in zip(found["steps"], singles.items(), strict=True):
        train = [one["split"] == "train" for one in rows]
        right = [one["correct"] for one in rows]
        expected = slow_mirrors(P, train, [not t for t in train], right)
        assert row == pytest.approx(
            {"step": step, **{n: v if v is None else float(v) for n, v in expected.items()}}
        )
    memorised = get(client, RUN)["memorised_step"]
    assert found["memorised"]["step"] == memorised


def test_while_a_run_goes_on(client: httpx.Client, unfinished: str) -> None:
    """The same answers, said to be provisional, and asked for again each time."""
    for path in ("grids", "pairs", "pairs?by=answer"):
        running = httpx.get(f"{unfinished}{RUN}/{path}", timeout=60)
        assert running.headers["cache-control"] == "no-cache"
        ended = client.get(f"{RUN}/{path}").json()
        assert running.json() == ended | {"provisional": True}


@with_loop
async def test_a_new_checkpoint_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another ETag, another frame, another last step."""
    monkeypatch.setattr(views, "STALENESS_S", 0.0)
    run = tiny_run(steps=[0, 10, 20])
    async with in_process(tmp_path) as (client, backends):
        await begin(run, backends, 0, 10)
        paths = [f"/v1/runs/tiny/{path}" for path in ("grids", "pairs")]
        before = [await client.get(path) for path in paths]
        await go_on(run, backends, 20)
        after = [await client.get(path) for path in paths]
    assert [len(one[0].json()["grids"]) for one in (before, after)] == [2, 3]
    assert [one[1].json()["last_step"] for one in (before, after)] == [10, 20]
    for old, new in zip(before, after, strict=True):
        assert old.headers["etag"] != new.headers["etag"]


@with_loop
async def test_an_older_run_is_inferred(tmp_path: Path) -> None:
    """A run without stored predictions answers as the same run with them, in every format."""
    older, paths = tiny_run(steps=[0, 10, 20]), ["grids", "grids?of=correct", "pairs"]
    found: list[list[bytes]] = []
    for number, run in enumerate((older, answering(older))):
        async with in_process(tmp_path / str(number)) as (client, backends):
            await run.publish(backends)
            found.append([])
            for path in paths:
                for chosen in ("json", "csv", "npy", "parquet"):
                    url = httpx.URL(f"/v1/runs/tiny/{path}").copy_add_param("format", chosen)
                    answer = await client.get(url)
                    assert answer.status_code == 200, answer.text
                    found[-1].append(answer.content)
    assert found[0] == found[1]


def without_split(run: TinyRun) -> TinyRun:
    """A run that others trained: nobody knows on which pairs."""
    unknown = dict.fromkeys(
        ("train_fraction", "split_seed", "split_sha256", "train_pairs", "test_pairs")
    )
    task = replace(run.manifest.task, **unknown)
    checkpoints = [(replace(m, split_sha256=None), model) for m, model in run.checkpoints]
    end = replace(run.completion, manifests_sha256=digest_of(m for m, _ in checkpoints))
    mask: Any = None
    return TinyRun(replace(run.manifest, task=task), mask, checkpoints, end, run.predictions)


@with_loop
async def test_without_a_split(tmp_path: Path) -> None:
    """Pairs are learnt all the same; there are no parts, and nothing is known of mirrors."""
    async with in_process(tmp_path) as (client, backends):
        await without_split(answering(tiny_run())).publish(backends)
        answer = (await client.get("/v1/runs/tiny/pairs")).json()
    assert (answer["mirror"], answer["by_mirror"]) == (None, [])
    assert {row["split"] for row in answer["pairs"]} == {None}
    assert {row["mirror_in_train"] for row in answer["pairs"]} == {None}
    assert [row["pairs"] for row in answer["by_answer"]] == [7] * 7
    assert {row["split"] for row in answer["by_answer"]} == {None}


@with_loop
async def test_memorised_and_lost_again(tmp_path: Path) -> None:
    """The mirrors of the step at which train accuracy first was 0.99, not of the last return."""
    made, accuracies = answering(tiny_run(steps=[0, 10, 20, 30])), (0.1, 1.0, 0.5, 1.0)
    checkpoints = [
        (replace(m, measures={**m.measures, "train_accuracy": accuracy}), model)
        for (m, model), accuracy in zip(made.checkpoints, accuracies, strict=True)
    ]
    end = replace(made.completion, manifests_sha256=digest_of(m for m, _ in checkpoints))
    run = TinyRun(made.manifest, made.train_mask, checkpoints, end, made.predictions)
    async with in_process(tmp_path) as (client, backends):
        await run.publish(backends)
        assert (await client.get("/v1/runs/tiny")).json()["memorised_step"] == 30
        mirror = (await client.get("/v1/runs/tiny/pairs")).json()["mirror"]
    assert mirror["memorised"] == mirror["steps"][1]
    assert mirror["memorised"]["step"] == 10


@with_loop
async def test_what_never_fits_is_refused_by_name(tmp_path: Path) -> None:
    """Memory is reserved before the work, and 422 says for what."""
    async with in_process(tmp_path, request_memory_bytes=1000) as (client, backends):
        await answering(tiny_run()).publish(backends)
        answer = await client.get("/v1/runs/tiny/pairs")
    assert answer.status_code == 422
    assert "of all pairs" in answer.json()["detail"]


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over a run of division, in which pairs (a, 0) have no answer."""
    folder = tmp_path_factory.mktemp("divided")
    settings = settings_at(folder)
    config = tiny_config(
        task={"operation": "div", "modulus": 7, "train_fraction": 0.6},
        training={"steps": 60},
        local_learning_coefficient={"every": 0},
    )
    assert start(settings, config, "div", JsonReporter()) == 0
    with serving(settings, folder) as served:
        yield served.client


def test_pairs_without_an_answer(divided: httpx.Client) -> None:
    """They are predicted, and neither right nor wrong; 0 in packed bits; in no sum."""
    run = "/v1/runs/div"
    steps = [c["step"] for c in get(divided, f"{run}/checkpoints")["checkpoints"]]
    films = [predictions(divided, run, step) for step in steps]
    undefined = [row["b"] == 0 for row in films[0]]
    for of in ("predicted", "correct"):
        expected = [{"step": s, "values": [r[of] for r in f]} for s, f in zip(steps, films)]  # noqa: B905
        assert get(divided, f"{run}/grids", of=of)["grids"] == expected
        for chosen in ("arrow", "parquet"):
            data = divided.get(f"{run}/grids", params={"of": of, "format": chosen}).content
            read = pa.ipc.open_stream(data).read_all() if chosen == "arrow" else None
            table = pq.read_table(io.BytesIO(data)) if read is None else read
            assert table.to_pylist() == expected
    bits = np.unpackbits(npy(divided, f"{run}/grids", of="correct"), axis=1, count=49)
    assert not bits[:, undefined].any()
    answer = get(divided, f"{run}/pairs")
    check_pairs(answer, steps, films)
    assert answer["mirror"]["commutes"] is False
    for row in answer["pairs"]:
        if row["b"] == 0:
            assert set(row.values()) - {row["a"], 0} == {None}
    for by in ("answer", "difference", "mirror"):
        assert sum(row["pairs"] for row in answer[f"by_{by}"]) == 42


def test_large_grids_take_no_memory(tmp_path: Path) -> None:
    """300 checkpoints of p = 113 are sent block by block, and by parts: the same bytes."""
    settings = settings_at(tmp_path)

    async def publish() -> None:
        async with open_backends(settings) as opened:
            await answering(tiny_run("wide", modulus=113, steps=range(0, 90, 10))).publish(opened)

    asyncio.run(publish())
    with serving(settings, tmp_path) as served:
        path = "/v1/runs/wide/grids?of=predicted&format=npy"
        plain = {"Accept-Encoding": "identity"}
        whole = served.client.get(path, headers=plain)
        part = served.client.get(path, headers=plain | {"Range": "bytes=50000-70000"})
        assert (part.status_code, part.content) == (206, whole.content[50000:70001])
        head = served.client.head(path, headers=plain)
        assert int(head.headers["content-length"]) == len(whole.content) == 9 * 113**2 + 128
