"""A group over the API: every member, what is spread, and what is not known yet."""

import asyncio
import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.catalogue import keys as index
from service.runs.groups import MAX_MEMBERS
from service.runs.views import STALENESS_S
from tests.service.test_api import get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_formats import READERS, check_formats, fetch
from tests.support.grouped import GOES_ON, GROUP, NAMES, crowd, publish_group, publish_some
from tests.support.served import Served, serving
from tests.support.trained import settings_at

PATH = f"/v1/groups/{GROUP}/emergence"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the group; for tests that change nothing."""
    settings = settings_at(tmp_path_factory.mktemp("group"))

    async def publish() -> None:
        async with open_backends(settings) as opened:
            await publish_group(opened)

    asyncio.run(publish())
    return settings


@pytest.fixture(scope="module")
def over(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over the group."""
    with serving(published, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(params=["fast", "routes"])
def group(over: Served, request: pytest.FixtureRequest) -> httpx.Client:
    """Its client, by both ways of the fixture `client`."""
    over.client.headers["Accept"] = "*/*" if request.param == "fast" else "*/*;q=0.9"
    return over.client


@pytest.fixture
def copied(published: Settings, tmp_path: Path) -> Settings:
    """A copy of the home, to be changed."""
    settings = settings_at(tmp_path / "home")
    shutil.copytree(published.home_path / "store", settings.home_path / "store")

    async def index_it(backends: Backends) -> None:
        await backends.catalogue.rebuild(backends.archive)

    change(settings, index_it)
    return settings


def change(settings: Settings, by: Any) -> None:
    """Something done to the backends of a home."""

    async def done() -> None:
        async with open_backends(settings) as backends:
            await by(backends)

    asyncio.run(done())


def rows_of(answer: dict[str, Any]) -> dict[str, Any]:
    """The members by name."""
    return {row["run"]: row for row in answer["members"]}


def test_each_member_tells_what_its_run_does(group: httpx.Client) -> None:
    """Every step and lag is that of /v1/runs/{run}/emergence, in the order of names."""
    members = get(group, PATH)["members"]
    assert [row["run"] for row in members] == NAMES
    for row in members:
        run = get(group, f"/v1/runs/{row['run']}")
        own = get(group, f"/v1/runs/{row['run']}/emergence")
        for name in ("seed", "status", "checkpoint_count", "latest_step"):
            assert row[name] == run[name]
        assert (row["memorised"], row["generalised"]) == (own["memorised"], own["generalised"])
        assert row["transition"] == own["series"]["test_accuracy"]
        assert row["lags"] == {name: lags["midpoint"] for name, lags in own["lags"].items()}


def test_the_members_by_hand(group: httpx.Client) -> None:
    """Two generalised, 200 steps after they memorised; one ended without; two go on."""
    rows = rows_of(get(group, PATH))
    held = {"step": 300, "previous_step": 200, "checkpoints_held": 2, "confirmed": True}
    for name in ("early", "late"):
        assert rows[name]["generalised"] == held
        assert rows[name]["delay"] == {"steps": 200, "low": 100, "high": 300, "resolved": True}
    assert rows["early"]["lags"]["key_share"]["steps"] == -100
    assert rows["late"]["lags"]["key_share"]["steps"] == pytest.approx(100, abs=1)
    assert (rows["never"]["memorised"]["step"], rows["never"]["generalised"]) == (100, None)
    fresh = rows["p-fresh"]
    assert (fresh["checkpoint_count"], fresh["latest_step"], fresh["delay"]) == (0, None, None)
    assert (fresh["test_accuracy"], fresh["transition"]["rise"]) == (None, None)


def test_configurations_show_where_they_differ(group: httpx.Client) -> None:
    """By dotted name; what is equal is left out, what one does not have is null there."""
    answer = get(group, PATH)
    assert answer["differing"] == ["optimiser.weight_decay", "training.seed", "checkpoints.dense"]
    rows = rows_of(answer)
    assert rows["late"]["config"] == {
        "optimiser.weight_decay": 0.5,
        "training.seed": 1,
        "checkpoints.dense": [[0, 1, 1]],
    }
    assert rows["early"]["config"]["checkpoints.dense"] is None


def test_who_never_generalised_is_counted_and_in_no_mean(group: httpx.Client) -> None:
    """Of five: two values, two only seen to 100 and 400 without, one tells nothing yet."""
    found = get(group, PATH)["distribution"]
    generalised = found["generalised"]
    assert (generalised["members"], generalised["of"], generalised["unknown"]) == (2, 5, 1)
    assert generalised["censored"] == {"members": 2, "first": 100, "last": 400}
    assert (generalised["mean"], generalised["low"], generalised["high"]) == (300, 200, 300)
    # Of three that were watched at 300 two got there; the fourth was watched to 100 alone.
    assert generalised["survival_quartiles"] == [300, 300, None]
    assert found["memorised"]["members"] == 4
    assert found["memorised"]["censored"] == {"members": 0, "first": None, "last": None}
    assert found["delay"]["censored"] == {"members": 2, "first": 0, "last": 300}


def test_distributions_are_of_the_rows(group: httpx.Client) -> None:
    """Mean, deviation, quartiles of the members' values by numpy."""
    answer = get(group, PATH)
    lags = [row["lags"]["key_share"] for row in answer["members"]]
    values = [lag["steps"] for lag in lags if lag]
    found = answer["distribution"]["lags"]["key_share"]
    assert (found["members"], found["of"], found["unknown"]) == (2, 5, 3)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
    assert found["quartiles"] == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]).tolist())
    assert (found["min"], found["max"]) == (min(values), max(values))
    signs = [(lag["high"] < 0, lag["low"] > 0) for lag in lags if lag]
    assert [found["before"], found["after"]] == [sum(one) for one in zip(*signs, strict=True)]
    assert found["before"] + found["after"] + found["unresolved"] == 2
    assert answer["distribution"]["lags"]["restricted_accuracy"]["members"] == 0


@pytest.mark.parametrize("chosen", READERS)
def test_tables(group: httpx.Client, chosen: str) -> None:
    """A row a member, records in columns of their own, all else in the schema's metadata."""
    answer = json.loads(fetch(group, PATH, "json"))
    table = READERS[chosen](fetch(group, PATH, chosen))
    members = answer.pop("members")
    assert json.loads(table.schema.metadata[b"grokprobe"]) == answer
    for row, cells in zip(members, table.to_pylist(), strict=True):
        held, lag = row["generalised"] or {}, row["lags"]["key_share"] or {}
        assert (cells["run"], cells["test_accuracy"]) == (row["run"], row["test_accuracy"])
        assert cells["generalised_previous_step"] == held.get("previous_step")
        assert (cells["key_share_lag_steps"], cells["key_share_lag_resolved"]) == (
            lag.get("steps"),
            lag.get("resolved"),
        )
        assert cells["midpoint_step"] == (row["transition"]["midpoint"] or {}).get("step")
        assert cells["delay_low"] == (row["delay"] or {}).get("low")
        assert cells["config.optimiser.weight_decay"] == (row["config"]["optimiser.weight_decay"])
        assert (
            json.loads(cells["config.checkpoints.dense"] or "null")
            == (row["config"]["checkpoints.dense"])
        )
    assert str(table.schema.field("config.training.seed").type) == "int64"
    assert str(table.schema.field("config.optimiser.weight_decay").type) == "double"


def test_the_document_lists_every_format(group: httpx.Client) -> None:
    """What OpenAPI lists is what a group answers to, by `format` and by Accept."""
    assert check_formats(group, {"group": GROUP}) == 3  # with precursors and /v1/runs


def test_csv(group: httpx.Client) -> None:
    """What pandas reads without a word: numbers are numbers, what is not there is empty."""
    frame = pd.read_csv(io.BytesIO(fetch(group, PATH, "csv"))).set_index("run")
    assert list(frame.index) == NAMES
    assert frame["generalised_step"].dropna().tolist() == [300, 300]
    assert frame["config.optimiser.weight_decay"].tolist() == [1, 0.5, 0, 1, 1]


def test_runs_of_a_group(group: httpx.Client) -> None:
    """Each run says its group; the filter lists the members, page by page and with others."""
    runs = {row["run"]: row["group"] for row in get(group, "/v1/runs")["runs"]}
    assert runs == {**dict.fromkeys(NAMES, GROUP), "alone": None}
    assert get(group, "/v1/runs/alone")["group"] is None
    assert get(group, "/v1/runs/late")["group"] == GROUP
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = get(group, "/v1/runs", group=GROUP, limit=2, after=after)
        found += [row["run"] for row in page["runs"]]
        after = page["next"]
    assert found == NAMES
    ended = get(group, "/v1/runs", group=GROUP, status="complete")["runs"]
    assert [row["run"] for row in ended] == ["early", "late", "never"]
    for nobody in ("nobody", "", "a/b", "é"):
        assert get(group, "/v1/runs", group=nobody) == {"runs": [], "next": None}


@pytest.mark.parametrize("name", ["wd-swep", "WD", "nobody", "é", "%ff", "x" * 300, "..."])
def test_unknown_groups(group: httpx.Client, name: str) -> None:
    """404, malformed or not; one that is nearly a group's name is told which."""
    words = ["is in a group"] + ([f"did you mean {GROUP}?"] if name == "wd-swep" else [])
    body = check_problem(group.get(f"/v1/groups/{name}/emergence"), 404, *words)
    assert body["type"] == "urn:grokprobe:group-not-found"


def test_bad_questions(group: httpx.Client) -> None:
    """A parameter or a format that there is not."""
    check_problem(group.get(f"{PATH}?limit=3"), 400, "known: chart, format")
    check_problem(group.get(f"{PATH}?format=npy"), 406, "json, csv, arrow, parquet")
    check_problem(group.post(PATH), 405)
    assert group.head(PATH).headers["etag"] == group.get(PATH).headers["etag"]


def test_what_still_stands_is_304(group: httpx.Client) -> None:
    """By ETag, which formats do not share; never kept unasked, for a group may grow."""
    answer = group.get(PATH)
    assert answer.headers["cache-control"] == "no-cache"
    assert group.get(f"{PATH}?format=csv").headers["etag"] != answer.headers["etag"]
    for given in (answer.headers["etag"], "*"):
        again = group.get(PATH, headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == answer.headers[name]


def test_a_member_that_goes_on(copied: Settings, tmp_path: Path) -> None:
    """Another checkpoint, its end, a deletion: each is seen at once and has its own ETag."""

    async def delete(backends: Backends) -> None:
        await backends.publisher.mark_deleted("p-fresh")
        await backends.catalogue.remove_run("p-fresh")

    seen = []
    with serving(copied, tmp_path) as served:

        def look() -> dict[str, Any]:
            answer = served.client.get(PATH)
            assert (
                served.client.get(
                    PATH, headers={"If-None-Match": answer.headers["etag"]}
                ).status_code
                == 304
            )
            seen.append(answer.headers["etag"])
            found: dict[str, Any] = answer.json()
            return found

        assert look()["provisional"]
        change(copied, lambda to: publish_some(to, GOES_ON, 4))
        assert rows_of(look())["on"]["generalised"]["step"] == 300
        change(copied, delete)
        assert [row["run"] for row in look()["members"]] == NAMES[:-1]
        change(copied, finish)
        last = look()
        assert (last["provisional"], last["distribution"]["generalised"]["members"]) == (False, 3)
    assert len(set(seen)) == 4


async def finish(to: Backends) -> None:
    """The end of the run that goes on."""
    await publish_some(to, GOES_ON, 5)
    await to.publisher.publish_completion(GOES_ON.completion)
    await to.catalogue.reconcile(to.archive, GOES_ON.name)


def test_without_redis(copied: Settings, tmp_path: Path) -> None:
    """From object storage the same answers with the same ETag, also to who asks first."""

    async def flush(backends: Backends) -> None:
        await backends.catalogue.connection.send(("FLUSHALL",))

    with serving(copied, tmp_path) as served:
        before = served.client.get(PATH)
        runs = served.client.get(f"/v1/runs?group={GROUP}").json()
        change(copied, flush)
        time.sleep(STALENESS_S)  # from here on nothing is answered from what was known before
        assert served.client.get(PATH).json() == before.json()
        again = served.client.get(PATH, headers={"If-None-Match": before.headers["etag"]})
        assert again.status_code == 304
        assert served.client.get(f"/v1/runs?group={GROUP}").json() == runs
        check_problem(served.client.get("/v1/groups/wd/emergence"), 404, "is in a group")
    with serving(copied, tmp_path) as served:
        assert served.client.get(PATH).json() == before.json()


def test_a_group_that_is_too_large(copied: Settings, tmp_path: Path) -> None:
    """One more member than an answer holds: 413, which says what to do instead."""

    async def add(backends: Backends) -> None:
        await backends.catalogue.connection.send(
            *crowd(MAX_MEMBERS + 1), ("SET", index.LOCK, "of another, who does not look")
        )
        await backends.catalogue.initialise()

    with serving(copied, tmp_path) as served:
        change(copied, add)
        answer = served.client.get("/v1/groups/crowd/emergence")
        check_problem(answer, 413, f"more than {MAX_MEMBERS} members", "runs?group=crowd")
