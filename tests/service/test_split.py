"""Which pairs are train pairs, over HTTP."""

import csv
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from grokprobe.task import Task, split
from tests.service.test_api import RUN, P, get
from tests.service.test_api_errors import check_problem
from tests.service.test_caching import IMMUTABLE, again, begin, go_on, in_process
from tests.service.test_pairs_over_a_run import divided, without_split
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run

__all__ = ["divided"]  # a fixture

FORMATS = ["json", "csv", "arrow", "parquet", "npy"]


def values(client: httpx.Client, run: str, chosen: str) -> list[bool | None]:
    """The train mask of a run as a format has it; null as false in bits."""
    answer = client.get(f"{run}/split", params={"format": chosen})
    assert answer.status_code == 200, answer.text
    p = get(client, run)["task"]["modulus"]
    if chosen == "json":
        return list(answer.json()["train"])
    if chosen == "npy":
        bits = np.load(io.BytesIO(answer.content))
        assert (bits.dtype, bits.shape) == (np.uint8, (-(-p * p // 8),))
        return [bool(bit) for bit in np.unpackbits(bits, count=p * p)]
    if chosen == "csv":
        words: dict[str, bool | None] = {"true": True, "false": False, "": None}
        rows: list[dict[str, Any]] = [
            {"a": int(row["a"]), "b": int(row["b"]), "train": words[row["train"]]}
            for row in csv.DictReader(answer.text.splitlines())
        ]
    else:
        data = answer.content
        of = {
            "arrow": lambda: pa.ipc.open_stream(data).read_all(),
            "parquet": lambda: pq.read_table(io.BytesIO(data)),
        }
        table = of[chosen]()
        assert table.schema.field("train").type == pa.bool_()
        rows = table.to_pylist()
    assert [(row["a"], row["b"]) for row in rows] == [divmod(row, p) for row in range(p * p)]
    train: list[bool | None] = [row["train"] for row in rows]
    return train


@pytest.mark.parametrize("chosen", FORMATS)
def test_it_is_the_split_that_the_run_records(client: httpx.Client, chosen: str) -> None:
    """Drawn again from its recipe, in every format."""
    task = get(client, RUN)["task"]
    mask = split(Task(operation="add", modulus=P), task["train_fraction"], task["split_seed"])
    assert values(client, RUN, chosen) == mask.tolist()
    answer = get(client, f"{RUN}/split")
    assert (answer["run"], answer["modulus"]) == ("tiny", P)
    for part in ("train_pairs", "test_pairs"):
        assert answer[part] == task[part]


def test_it_is_that_of_predictions(client: httpx.Client) -> None:
    """What the answers to all pairs say of each."""
    rows = get(client, f"{RUN}/checkpoints/latest/predictions")["predictions"]
    assert get(client, f"{RUN}/split")["train"] == [row["split"] == "train" for row in rows]


@pytest.mark.parametrize("chosen", FORMATS)
def test_a_pair_without_an_answer_is_in_no_part(divided: httpx.Client, chosen: str) -> None:
    """Null, and 0 among bits; neither is counted."""
    found = values(divided, "/v1/runs/div", chosen)
    none = False if chosen == "npy" else None
    assert [row for row, value in enumerate(found) if row % 7 == 0 and value is not none] == []
    answer = get(divided, "/v1/runs/div/split")
    assert (answer["train_pairs"], answer["test_pairs"]) == (25, 17)
    assert sum(map(bool, found)) == 25


@with_loop
async def test_it_never_changes_while_the_run_goes_on(tmp_path: Path) -> None:
    """Kept for a year from the first checkpoint on, and by the same ETag when the run has ended."""
    run = tiny_run()
    path = "/v1/runs/tiny/split?format=npy"
    async with in_process(tmp_path) as (client, backends):
        await begin(run, backends, 0)
        answer = await client.get(path)
        assert answer.headers["cache-control"] == IMMUTABLE
        part = await client.get(path, headers={"Range": "bytes=128-"})
        assert (part.status_code, part.content) == (206, answer.content[128:])
        await go_on(run, backends, 10, 200)
        await backends.publisher.publish_completion(run.completion)
        await backends.catalogue.reconcile(backends.archive, run.name)
        later = await client.get(path)
    assert later.headers["etag"] == answer.headers["etag"]
    assert later.content == answer.content


@with_loop
async def test_where_it_is_unknown(tmp_path: Path) -> None:
    """404 with the reason, in any format; the run has its other answers."""
    async with in_process(tmp_path) as (client, backends):
        await without_split(tiny_run()).publish(backends)
        for chosen in FORMATS:
            answer = await client.get(f"/v1/runs/tiny/split?format={chosen}")
            problem = check_problem(answer, 404, "split of 'tiny' is unknown", "[split]")
            assert problem["type"] == "urn:grokprobe:split-unknown"
        assert (await client.get("/v1/runs/tiny")).status_code == 200
        check_problem(await client.get("/v1/runs/none/split"), 404, "none")


def test_formats_have_etags_of_their_own(client: httpx.Client) -> None:
    """And 304 is of that format."""
    tags = {c: client.get(f"{RUN}/split?format={c}").headers["etag"] for c in FORMATS}
    assert len({*tags.values()}) == len(FORMATS)
    for chosen, tag in tags.items():
        assert again(client, f"{RUN}/split?format={chosen}", tag).status_code == 304
        assert again(client, f"{RUN}/split?format=json", tag).status_code == (
            304 if chosen == "json" else 200
        )
