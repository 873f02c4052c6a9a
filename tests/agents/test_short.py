"""Every answer is short, however much there is to tell; it is JSON and says what it lacks."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.agents.words import MOST_BYTES, told
from grokprobe.store.archive.contents import Contents
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue.keys import LOCK
from grokprobe.store.records import CheckpointManifest, sha256
from tests.support.assistants import ask, facts
from tests.support.served import Served, serving
from tests.support.tiny import TinyRun, digest_of, stored, tiny_run
from tests.support.trained import settings_at

RUNS, CHECKPOINTS, MEASURES = 1_000, 400, 200
NAME = f"a-run-of-{'long-' * 10}name"
P = 113
WEIGHT = "é" * 400
replace = msgspec.structs.replace


def renamed(manifest: CheckpointManifest, model: bytes) -> tuple[CheckpointManifest, bytes]:
    """The same checkpoint with a very long name of a weight."""
    found = onnx.load_from_string(model)
    for item in found.graph.initializer:
        item.name = WEIGHT if item.name == "W_U" else item.name
    for node in found.graph.node:
        node.input[:] = [WEIGHT if name == "W_U" else name for name in node.input]
    data = found.SerializeToString(deterministic=True)
    model_record = replace(manifest.model, sha256=sha256(data), bytes=len(data))
    return replace(manifest, model=model_record), data


def large() -> TinyRun:
    """400 checkpoints of p 113 with 200 measures, a long name and a configuration as long."""
    base = tiny_run(NAME, P, steps=(0, CHECKPOINTS - 1), group=f"g{NAME[1:]}")
    first, last = (renamed(*one) for one in base.checkpoints)
    filler: dict[str, float | None] = {f"measure_{n}_{'x' * 40}": n / 7 for n in range(MEASURES)}
    rows = [(replace(first[0], step=step), first[1]) for step in range(CHECKPOINTS - 1)]
    rows = [(replace(m, measures=m.measures | filler), model) for m, model in (*rows, last)]
    record = replace(
        base.manifest,
        architecture={"family": "tiny", **{f"width_{n}": "w" * 300 for n in range(40)}},
        optimiser={f"setting_{n}": [n] * 50 for n in range(40)},
    )
    digest = digest_of(manifest for manifest, _ in rows)
    end = replace(base.completion, manifests_sha256=digest)
    return TinyRun(record, base.train_mask, rows, end)


def named(base: TinyRun, run: str) -> Contents:
    """A run that has ended, of whose files nothing is asked."""
    manifests = [replace(manifest, run=run) for manifest, _ in base.checkpoints]
    return Contents(
        run=stored(replace(base.manifest, run=run)),
        completion=stored(replace(base.completion, run=run)),
        checkpoints={manifest.step: stored(manifest) for manifest in manifests},
        problems=[],
    )


async def publish_names(backends: Backends) -> None:
    """A thousand runs."""
    base = tiny_run()
    for number in range(RUNS):
        await backends.catalogue.put_run(named(base, f"r{number:04d}-{'n' * 55}"))
    # What is not in object storage would be removed by whoever has the lock.
    await backends.catalogue.connection.send(("SET", LOCK, "of another"))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over that run and those names."""
    settings = settings_at(tmp_path_factory.mktemp("crowded"))

    async def publish() -> None:
        async with open_backends(settings) as backends:
            await large().publish(backends)
            await publish_names(backends)

    asyncio.run(publish())
    with serving(settings, settings.home_path) as served:
        yield served


R: dict[str, Any] = {"run": NAME}
CALLS: list[tuple[str, dict[str, Any]]] = [
    *[("runs", {}), ("run", R), ("emergence", R), ("measures", R)],
    ("measures", R | {"names": ["test_loss", "excluded_loss_per_key", "key_share"]}),
    ("compare", {"a": f"{NAME}/first", "b": f"{NAME}/latest"}),
    ("predict", R | {"pairs": [[n, P - 1 - n] for n in range(100)]}),
    *[("spectrum", R | {"of": of, "null": 20}) for of in ("embedding", "logits")],
    *[("picture", R | {"chart": chart}) for chart in ("spectrum", "spectra", "trajectory")],
]


def test_much_is_told_shortly(crowded: Served, tmp_path: Path) -> None:
    """Less than 2 kB each, which `facts` looks at, whole JSON, with where the rest is."""
    for (tool, arguments), result in zip(CALLS, ask(crowded.url, tmp_path, *CALLS), strict=True):
        found = facts(result)
        assert found["more"].startswith(f"{crowded.url}/v1/"), tool
        if tool not in ("runs", "compare"):
            assert found["cite"]["run"] == NAME, (tool, arguments)


def test_what_is_left_out_is_counted(crowded: Served, tmp_path: Path) -> None:
    """Runs and pairs that are not shown; the most telling ones are."""
    calls = [CALLS[0], next(call for call in CALLS if call[0] == "predict")]
    runs, predicted = map(facts, ask(crowded.url, tmp_path, *calls))
    assert runs["count"] == RUNS + 1 == len(runs["runs"]) + runs["left_out"]["runs"]
    assert len(predicted["predictions"]) + predicted["left_out"]["predictions"] == 100
    assert runs["runs"][0]["run"] == NAME


def test_runs_are_read_on_and_searched(crowded: Served, tmp_path: Path) -> None:
    """After the last name seen; by a part of the name."""
    on, some = map(
        facts,
        ask(
            crowded.url,
            tmp_path,
            ("runs", {"after": f"r0499-{'n' * 55}"}),
            ("runs", {"contains": "r099"}),
        ),
    )
    assert on["runs"][0]["run"].startswith("r0500-")
    assert on["count"] == RUNS + 1
    assert some["count"] == 10


TEXT = st.text(max_size=300)
VALUE = st.recursive(
    st.none() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(TEXT, inner, max_size=30),
    max_leaves=300,
)


@given(st.dictionaries(st.sampled_from("abcdefgh"), VALUE), st.sets(st.sampled_from("abcdefgh")))
def test_whatever_is_told_is_short_json(values: dict[str, Any], rows: set[str]) -> None:
    """Nothing is changed that is short enough; what was cut is named."""
    cut = sorted(name for name in rows if isinstance(values.get(name), list | dict))
    found = json.loads(said := told(values, "v1/runs", rows=cut, cite={"run": "a"}))
    assert len(said.encode()) <= MOST_BYTES
    assert found.pop("more") == "v1/runs"
    assert "left_out" in found or found.pop("cite") == {"run": "a"}
    if "left_out" not in found:
        assert found.keys() == values.keys()


def test_an_answer_is_cut_at_its_lists() -> None:
    """The first named first, three of each as long as others have more; a long text at its end."""
    rows = [{"run": f"run-{n:04d}", "test_accuracy": 1 / 3} for n in range(1_000)]
    found = json.loads(told({"runs": rows, "few": [1, 2]}, "v1/runs", rows=["runs", "few"]))
    assert found["few"] == [1, 2]
    assert found["left_out"] == {"runs": 1_000 - len(found["runs"])}
    both = json.loads(told({"a": rows, "b": rows}, "v1", rows=["a", "b"]))
    assert len(both["a"]) == 3 < len(both["b"])
    assert json.loads(told({"name": "é" * 5_000}, "v1"))["name"] == "é" * 159 + "…"
