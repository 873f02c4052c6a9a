"""One hostile object hides nothing else, and is named: through the real service, with and without
Redis. Every hostile run lies beside all others, in one store and one group.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.predictions import describe_predictions
from grokprobe.store.backends import open_backends
from tests.support.hostile_records import (
    COMPLETION_OF_ANOTHER_RUN,
    COMPLETIONS,
    MANIFEST,
    MANIFESTS,
    OF_ANOTHER_RUN,
    PREDICTED,
    PREDICTIONS,
    RUN,
    RUNS,
    SPLITS,
    always,
    bytes_of,
)
from tests.support.served import Served, serving
from tests.support.tiny import TinyRun, answering, digest_of, tiny_run

GROUP = "all"
SOUND = ["a-sound", "z-sound"]
FOUND: dict[str, tuple[Callable[[str], str], dict[str, Callable[[], bytes]]]] = {
    "run": (names.run_path, RUNS),
    "manifest": (
        lambda run: names.manifest_path(run, 10),
        MANIFESTS | bytes_of(MANIFEST, OF_ANOTHER_RUN),
    ),
    "completion": (
        names.completion_path,
        COMPLETIONS | bytes_of(RUN.completion, COMPLETION_OF_ANOTHER_RUN),
    ),
    "split": (names.split_path, always(SPLITS)),
}
HOSTILE = {
    f"{kind}-{number}": (path, make, name)
    for kind, (path, found) in FOUND.items()
    for number, (name, make) in enumerate(found.items())
}
HOSTILE_PREDICTIONS = {
    f"predictions-{number}": data
    for number, (name, data) in enumerate(PREDICTIONS.items())
    if name != "16 MB"  # more than a manifest may name
}
# Whose digest, or length, is not the one that their manifest names; nothing: they are not there.
CHANGED_PREDICTIONS: dict[str, bytes | None] = {
    "changed-another": PREDICTED[:-1] + bytes([(PREDICTED[-1] + 1) % 7]),
    "changed-cut": PREDICTED[:-1],
    "changed-longer": PREDICTED + b"\0",
    "changed-16-mb": PREDICTED + bytes(2**24),
    "changed-empty": b"",
    "changed-gone": None,
}
ALL_PREDICTIONS = [*HOSTILE_PREDICTIONS, *CHANGED_PREDICTIONS]
OF_A_RUN = ["", "/checkpoints", "/trajectory", "/emergence", "/spectra", "/checkpoints/0"]
OF_A_RUN += ["/coordinates", "/updates", "/path", "/drift"]
OF_A_RUN += ["/grids", "/grids?of=correct&format=npy"]
OF_A_CHECKPOINT = ["/predictions", "/embedding", "/spectrum", "/measures", "/logits"]
OF_A_CHECKPOINT += ["/activations?of=logits"]
REMOVED = {"of": "logits", "remove": [1]}


def predicting(run: str, data: bytes) -> TinyRun:
    """A run with these bytes as predictions of step 10, which its manifest names."""
    made = answering(tiny_run(run, group=GROUP))
    checkpoints = [
        (msgspec.structs.replace(manifest, predictions=describe_predictions(data)), model)
        if manifest.step == 10
        else (manifest, model)
        for manifest, model in made.checkpoints
    ]
    digest = digest_of(manifest for manifest, _ in checkpoints)
    return replace(
        made,
        checkpoints=checkpoints,
        completion=msgspec.structs.replace(made.completion, manifests_sha256=digest),
        predictions={**made.predictions, 10: data},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every hostile run, and an index that was built over it."""
    home = tmp_path_factory.mktemp("home")

    async def publish() -> None:
        async with open_backends(Settings(home=str(home))) as backends:
            for run in (*SOUND, *HOSTILE):
                await tiny_run(run, group=GROUP).publish(backends.archive)
            for run, data in HOSTILE_PREDICTIONS.items():
                await predicting(run, data).publish(backends.archive)
            for run, changed in CHANGED_PREDICTIONS.items():
                await predicting(run, PREDICTED).publish(backends.archive)
                place, objects = names.predictions_path(run, 10), backends.archive.objects
                await (
                    objects.remove(place) if changed is None else objects.replace(place, changed)
                )
            for run, (path, make, _) in HOSTILE.items():
                mine = make().replace(b'"run":"tiny"', f'"run":"{run}"'.encode())
                await backends.archive.objects.replace(path(run), mine)
            report = await backends.catalogue.rebuild(backends.archive)
            named = {line.split()[0] for line in report.problems}
            of_records = {p(run) for run, (p, _, _) in HOSTILE.items() if not run.startswith("spl")}
            assert named == of_records  # reindexing ends, and names each of them
            assert await backends.catalogue.ready()

    asyncio.run(publish())
    return home


@pytest.fixture(scope="module", params=["with Redis", "without Redis"])
def served(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A service over that store."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}"
        url = "embedded" if request.param == "with Redis" else url
        settings = Settings(home=str(home), log_format="json", redis_url=url)
        with serving(settings, tmp_path_factory.mktemp("served")) as found:
            yield found


def check_corrupt(answer: httpx.Response, path: str) -> None:
    """Fail unless an answer says which object is corrupt, and little else."""
    assert answer.status_code == 500, answer.text[:500]
    problem = answer.json()
    assert problem["type"] == "urn:grokprobe:checkpoint-corrupt", problem
    assert path in problem["detail"]
    assert len(answer.content) < 3000


def beside(served: Served, run: str, step: object) -> list[httpx.Response]:
    """Answers of a checkpoint beside one that is sound, either first, and without a frequency."""
    one, other = f"{run}/{step}", f"{SOUND[0]}/latest"
    asked = [f"/v1/compare?a={a}&b={b}" for a, b in ((one, other), (other, one))]
    path = f"/v1/runs/{run}/checkpoints/{step}/interventions"
    return [*map(served.client.get, asked), served.client.post(path, json=REMOVED)]


def test_lists_hide_nothing_else(served: Served) -> None:
    """All runs but those whose own `run.json` is hostile; the group is answered as a whole."""
    others = [run for run in HOSTILE if not run.startswith("run-")]
    due = sorted([*SOUND, *others, *ALL_PREDICTIONS])
    for path in ("/v1/runs?limit=1000", f"/v1/runs?limit=1000&group={GROUP}"):
        answer = served.client.get(path)
        assert answer.status_code == 200, answer.text
        assert [row["run"] for row in answer.json()["runs"]] == due
    group = served.client.get(f"/v1/groups/{GROUP}/emergence")
    assert group.status_code == 200, group.text
    assert [row["run"] for row in group.json()["members"]] == due
    index = served.client.post("/v2/repository/index")
    assert index.status_code == 200, index.text


@pytest.mark.parametrize("run", SOUND)
def test_sound_runs_are_answered(served: Served, run: str) -> None:
    """Each route of a run and of a checkpoint."""
    for part in (*OF_A_RUN, *(f"/checkpoints/latest{part}" for part in OF_A_CHECKPOINT)):
        answer = served.client.get(f"/v1/runs/{run}{part}")
        assert answer.status_code == 200, (part, answer.text)


@pytest.mark.parametrize("run", [run for run in HOSTILE if run.startswith("run-")])
def test_a_hostile_run(served: Served, run: str) -> None:
    """Nothing is known without its record, and that is what is said."""
    for part in (*OF_A_RUN, "/pairs", "/neurons", "/checkpoints/0/predictions"):
        check_corrupt(served.client.get(f"/v1/runs/{run}{part}"), names.run_path(run))
    for answer in beside(served, run, 0):
        check_corrupt(answer, names.run_path(run))
    check_corrupt(served.client.get(f"/v2/models/{run}"), names.run_path(run))


@pytest.mark.parametrize("run", [run for run in HOSTILE if run.startswith("manifest-")])
def test_a_hostile_manifest(served: Served, run: str) -> None:
    """The checkpoint is named, and the others of its run are there."""
    path = f"/v1/runs/{run}"
    for part in ("", *OF_A_CHECKPOINT):
        check_corrupt(
            served.client.get(f"{path}/checkpoints/10{part}"), names.manifest_path(run, 10)
        )
        for step in (0, 200, "latest"):
            answer = served.client.get(f"{path}/checkpoints/{step}{part}")
            assert answer.status_code == 200, answer.text
    for answer in beside(served, run, 10):
        check_corrupt(answer, names.manifest_path(run, 10))
    for answer in beside(served, run, 200):
        assert answer.status_code == 200, answer.text
    for part in (*OF_A_RUN, "/pairs"):
        assert served.client.get(path + part).status_code == 200, part
    rows = served.client.get(f"{path}/checkpoints").json()["checkpoints"]
    assert [row["step"] for row in rows] == [0, 200]


@pytest.mark.parametrize("run", [run for run in HOSTILE if run.startswith("completion-")])
def test_a_hostile_completion(served: Served, run: str) -> None:
    """The run counts as one that goes on: all that it published is there."""
    for part in (*OF_A_RUN, *(f"/checkpoints/latest{part}" for part in OF_A_CHECKPOINT)):
        answer = served.client.get(f"/v1/runs/{run}{part}")
        assert answer.status_code == 200, (part, answer.text)
    assert served.client.get(f"/v1/runs/{run}").json()["status"] == "running"


@pytest.mark.parametrize("run", [run for run in HOSTILE if run.startswith("split-")])
def test_a_hostile_split(served: Served, run: str) -> None:
    """What needs the split names it, as all that is inferred does; what does not is there."""
    for part in OF_A_RUN:
        answer = served.client.get(f"/v1/runs/{run}{part}")
        if "grids" in part:
            check_corrupt(answer, names.split_path(run))
        else:
            assert answer.status_code == 200, part
    for part in OF_A_CHECKPOINT:
        answer = served.client.get(f"/v1/runs/{run}/checkpoints/latest{part}")
        check_corrupt(answer, names.split_path(run))
    for answer in (served.client.get(f"/v1/runs/{run}/pairs"), *beside(served, run, "latest")):
        check_corrupt(answer, names.split_path(run))


@pytest.mark.parametrize("run", ALL_PREDICTIONS)
def test_hostile_predictions(served: Served, run: str) -> None:
    """Though their manifest names them, or because it names others: whatever needs them names them,
    and all else is there.
    """
    path = f"/v1/runs/{run}"
    for part in ("/grids?of=predicted", "/grids?of=correct", "/pairs?by=pair", "/pairs?by=mirror"):
        for chosen in ("json", "npy", "parquet"):
            answer = served.client.get(f"{path}{part}&format={chosen}")
            check_corrupt(answer, names.predictions_path(run, 10))
    others = [part for part in OF_A_RUN if "grids" not in part]
    for part in (*others, "/grids?from_step=11", "/pairs?to_step=9"):
        assert served.client.get(path + part).status_code == 200, part
    for part in OF_A_CHECKPOINT:
        answer = served.client.get(f"{path}/checkpoints/10{part}")
        assert answer.status_code == 200, (part, answer.text)
    for answer in beside(served, run, 10):
        assert answer.status_code == 200, answer.text


def test_nothing_was_the_services_own_fault(served: Served) -> None:
    """And it is as well as before."""
    assert "Traceback" not in served.log.read_text()
    assert served.client.get("/livez").status_code == 200
    assert served.process.poll() is None
