"""Conditional requests: what may be kept, for how long, and 304 before any work."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.records import KeyRecord
from service.app import create_app, create_context
from service.inference.runtime import Runtime
from service.runs import views
from tests.service.test_api import LAST, LATEST, RUN
from tests.service.test_api_measures import unfinished
from tests.support.served import serving
from tests.support.stores import with_loop
from tests.support.tiny import TinyRun, tiny_run
from tests.support.trained import Trained, settings_at

__all__ = ["unfinished"]  # a fixture

IMMUTABLE = "public, max-age=31536000, immutable"
KEYS = KeyRecord(frequencies=[2], rule="logits", threshold=0.1, source_step=10, margin=(None, None))
OF_A_CHECKPOINT = [
    LAST,
    f"{LAST}/predictions?a=1&b=2",
    f"{LAST}/logits",
    f"{LAST}/embedding",
    f"{LAST}/spectrum",
    f"{LAST}/neurons",
    f"{LAST}/activations?of=attention&index=2",
    f"{LAST}/measures",
    f"{LAST}/weights",
    f"{LAST}/weights/W_E",
    f"{LAST}/model.onnx",
    f"{LAST}/projector/tensors",
    f"{LAST}/projector/metadata",
    f"{RUN}/trajectory",
    f"{RUN}/spectra",
    f"{RUN}/coordinates",
    f"{RUN}/neurons",
    f"{RUN}/grids",
    f"{RUN}/grids?of=correct&format=npy",
    f"{RUN}/split",
    f"{RUN}/split?format=npy",
    f"{RUN}/pairs",
    f"{RUN}/pairs?by=mirror",
    f"{RUN}/emergence",
    f"{RUN}/drift",
    f"{RUN}/updates",
    f"{RUN}/path",
    f"/v1/compare?a=tiny/0&b=tiny/{LATEST}",
]
LABELS_AND_LISTS = [
    "/v1/runs",
    RUN,
    f"{RUN}/checkpoints",
    f"{RUN}/checkpoints/latest",
    f"{RUN}/checkpoints/latest/spectrum",
    f"{RUN}/checkpoints/first/logits",
    "/v1/compare?a=tiny/first&b=tiny/0",
    f"{RUN}/checkpoints/latest/model.onnx",
]


def again(client: httpx.Client, path: str, etag: str, **headers: str) -> httpx.Response:
    """The answer to a client that has the answer with this ETag."""
    return client.get(path, headers={"If-None-Match": etag, **headers})


@pytest.mark.parametrize("path", OF_A_CHECKPOINT)
def test_what_never_changes_is_kept(client: httpx.Client, path: str) -> None:
    """A numbered checkpoint, and all of a run that has ended, for a year; asked again, 304."""
    answer = client.get(path)
    assert answer.headers["cache-control"] == IMMUTABLE
    found = again(client, path, answer.headers["etag"])
    assert (found.status_code, found.content) == (304, b"")
    for name in ("etag", "cache-control", "vary", "content-location"):
        assert found.headers.get(name) == answer.headers.get(name)
    assert "content-length" not in found.headers


@pytest.mark.parametrize("path", LABELS_AND_LISTS)
def test_what_may_change_is_asked_for_again(client: httpx.Client, path: str) -> None:
    """Labels and lists are not used unasked, and 304 says that they still stand."""
    answer = client.get(path)
    assert answer.headers["cache-control"] == "no-cache"
    assert again(client, path, answer.headers["etag"]).status_code == 304


def test_a_label_and_its_number_have_one_etag(client: httpx.Client) -> None:
    """What Content-Location names is the very same representation."""
    answer = client.get(f"{RUN}/checkpoints/latest/spectrum?null=20")
    numbered = client.get(answer.headers["content-location"])
    assert numbered.headers["etag"] == answer.headers["etag"]


def test_etags_differ_where_answers_do(client: httpx.Client) -> None:
    """Another format, query, matrix, resource or checkpoint has another ETag."""
    paths = ["spectrum", "spectrum?format=csv", "spectrum?null=20", "neurons", "weights/W_E"]
    found = [client.get(f"{LAST}/{path}").headers["etag"] for path in (*paths, "weights/W_U")]
    other = client.get(f"{RUN}/checkpoints/0/spectrum").headers["etag"]
    by_accept = client.get(f"{LAST}/spectrum", headers={"Accept": "text/csv"}).headers["etag"]
    assert len({*found, other}) == 7
    assert by_accept == found[1]
    assert again(client, f"{LAST}/spectrum", found[1]).status_code == 200


def test_the_order_of_a_query_does_not_matter(client: httpx.Client) -> None:
    """The same question in another order has the same ETag."""
    one = client.get(f"{LAST}/spectrum?null=20&seed=1").headers["etag"]
    assert client.get(f"{LAST}/spectrum?seed=1&null=20").headers["etag"] == one


@pytest.mark.parametrize("given", ['"x", {}', "{}", '{}, W/"y"', "*"])
def test_lists_of_etags(client: httpx.Client, given: str) -> None:
    """One of several is enough, strong or weak as it was kept; `*` is any."""
    etag = client.get(LAST).headers["etag"]
    for tag in (etag, etag.removeprefix("W/")):
        assert again(client, LAST, given.format(tag)).status_code == 304
    assert again(client, LAST, '"other"').status_code == 200


@pytest.mark.parametrize("what", ["predictions", "logits?format=csv", "model.onnx", "spectrum"])
def test_any_is_whatever_there_is(client: httpx.Client, what: str) -> None:
    """`*` matches streams and files too."""
    assert again(client, f"{LAST}/{what}", "*").status_code == 304


def test_an_error_is_no_match(client: httpx.Client) -> None:
    """A question that cannot be answered is 400 or 404, whatever the client has."""
    assert again(client, f"{LAST}/spectrum?null=1", "*").status_code == 400
    assert again(client, f"{LAST}/weights/W_X", "*").status_code == 404
    answer = client.get(f"{RUN}/checkpoints/41")
    assert (answer.headers["cache-control"], answer.headers.get("etag")) == ("no-store", None)


def test_304_comes_before_any_work(client: httpx.Client, trained: Trained, tmp_path: Path) -> None:
    """Another process, with no model file to load, answers 304 where this one gave the ETag."""
    etags = {path: client.get(path).headers["etag"] for path in OF_A_CHECKPOINT}
    shutil.copytree(trained.settings.home_path / "store", tmp_path / "store")
    for model in (tmp_path / "store").rglob("model.onnx"):
        model.unlink()
    with serving(settings_at(tmp_path), tmp_path) as other:
        found = {p: again(other.client, p, tag).status_code for p, tag in etags.items()}
        assert other.client.get(f"{LAST}/logits").status_code == 500
    assert found == dict.fromkeys(OF_A_CHECKPOINT, 304)


def test_what_is_given_for_a_key_is_private(client: httpx.Client) -> None:
    """A cache that others use must not keep what was given for a key."""
    answer = client.get(LAST, headers={"Authorization": "Bearer secret"})
    assert answer.headers["cache-control"] == IMMUTABLE.replace("public", "private")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{LAST}/spectrum", "no-cache"),
        (f"{LAST}/measures", "no-cache"),
        (f"{LAST}/measures?keys=final&key_rule=neurons", "no-cache"),
        (f"{LAST}/measures?keys=own", IMMUTABLE),
        (f"{LAST}/measures?keys=1,2", IMMUTABLE),
        (f"{LAST}/embedding", IMMUTABLE),
        (f"{RUN}/trajectory", "no-cache"),
        (f"{RUN}/emergence", "no-cache"),
        (f"{RUN}/drift", "no-cache"),
        (f"{RUN}/updates", "no-cache"),
        (f"{RUN}/path", "no-cache"),
        (f"/v1/compare?a=tiny/0&b=tiny/{LATEST}", IMMUTABLE),
    ],
)
def test_before_the_end(unfinished: str, path: str, expected: str) -> None:
    """Only what rests on the run's keys may change while the run goes on."""
    assert httpx.get(f"{unfinished}{path}", timeout=30).headers["cache-control"] == expected


@pytest.fixture
def _seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request reads what is published, so that nobody waits until it is seen."""
    monkeypatch.setattr(views, "STALENESS_S", 0.0)


@asynccontextmanager
async def in_process(
    folder: Path, **changes: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Backends]]:
    """A client of the application, without a server, and the stores to publish to."""
    settings = Settings(home=str(folder), **changes)
    async with open_backends(settings) as backends:
        app: Any = create_app(create_context(settings, backends, Runtime()), None)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client, backends


async def begin(run: TinyRun, backends: Backends, *steps: int) -> None:
    """Publish and index the run's manifest and some of its checkpoints."""
    await backends.publisher.publish_run(run.manifest, run.train_mask)
    await backends.catalogue.reconcile(backends.archive, run.name)
    await go_on(run, backends, *steps)


async def go_on(run: TinyRun, backends: Backends, *steps: int) -> None:
    """Publish and index some of the checkpoints."""
    for manifest, model in run.checkpoints:
        if manifest.step in steps:
            await backends.publisher.publish_checkpoint(manifest, model)
            await backends.catalogue.add_checkpoint(manifest)


@pytest.mark.usefixtures("_seen_at_once")
@with_loop
async def test_the_end_of_a_run_changes_what_rests_on_its_keys(tmp_path: Path) -> None:
    """Its keys make another ETag, and the answer is final; what rests on a checkpoint stays."""
    run, base = tiny_run(steps=[0, 10]), "/v1/runs/tiny/checkpoints/10"
    async with in_process(tmp_path) as (client, backends):
        await begin(run, backends, 0, 10)
        before = {path: await client.get(f"{base}/{path}") for path in ("spectrum", "embedding")}
        ended = msgspec.structs.replace(run.completion, keys=KEYS)
        await backends.publisher.publish_completion(ended)
        await backends.catalogue.reconcile(backends.archive, run.name)
        after = {path: await client.get(f"{base}/{path}") for path in before}
    tags = {path: before[path].headers["etag"] == after[path].headers["etag"] for path in before}
    assert tags == {"spectrum": False, "embedding": True}
    assert before["spectrum"].headers["cache-control"] == "no-cache"
    assert after["spectrum"].headers["cache-control"] == IMMUTABLE


@pytest.mark.usefixtures("_seen_at_once")
@with_loop
async def test_a_new_checkpoint_changes_labels_and_lists(tmp_path: Path) -> None:
    """`latest`, the list and the trajectory have other ETags; `first` keeps its own."""
    run, base = tiny_run(steps=[0, 10, 20]), "/v1/runs/tiny"
    paths = ["/checkpoints/latest", "/checkpoints", "/trajectory", "", "/checkpoints/first"]
    async with in_process(tmp_path) as (client, backends):
        await begin(run, backends, 0, 10)
        before = [(await client.get(base + path)).headers["etag"] for path in paths]
        await go_on(run, backends, 20)
        after = [(await client.get(base + path)).headers["etag"] for path in paths]
    same = [old == new for old, new in zip(before, after, strict=True)]
    assert same == [False, False, False, False, True]


@pytest.mark.usefixtures("_seen_at_once")
@with_loop
async def test_pages_survive_publication(tmp_path: Path) -> None:
    """Published between pages, new rows neither repeat old ones nor push any out."""
    steps, base = list(range(0, 100, 10)), "/v1/runs/tiny/checkpoints?limit=3"
    run = tiny_run(steps=steps)
    async with in_process(tmp_path) as (client, backends):
        await begin(run, backends, *steps[1:8:2])  # 10, 30, 50, 70
        first = (await client.get(base)).json()
        await go_on(run, backends, *steps)
        rest = (await client.get(f"{base}&after={first['next']}")).json()
        more = (await client.get(f"{base}&after={rest['next']}")).json()
    found = [row["step"] for page in (first, rest, more) for row in page["checkpoints"]]
    assert found == [10, 30, 50, 60, 70, 80, 90]


@with_loop
async def test_pages_of_runs_survive_publication(tmp_path: Path) -> None:
    """The cursor is a name: runs published before it are missed, none is shown twice or lost."""
    names = [f"run-{letter}" for letter in "abcdef"]
    async with in_process(tmp_path) as (client, backends):
        for name in names[1::2]:
            await tiny_run(name, steps=[0]).publish(backends)
        first = await client.get("/v1/runs?limit=2")
        for name in names[::2]:
            await tiny_run(name, steps=[0]).publish(backends)
        rest = await client.get(first.links["next"]["url"])
    found = [row["run"] for page in (first, rest) for row in page.json()["runs"]]
    assert found == ["run-b", "run-d", "run-e", "run-f"]
