"""A study over the API: leads with brackets, false alarms, both halves named, by hand."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pandas as pd
import pytest

from grokprobe.cli.main import main
from grokprobe.settings import Settings
from grokprobe.store.backends import Backends, open_backends
from grokprobe.store.records import FinalStatus
from tests.service.test_api import get
from tests.service.test_api_errors import check_problem
from tests.service.test_api_formats import READERS, check_formats, fetch
from tests.support.grouped import GROUP, config, member, publish_some
from tests.support.served import Served, serving
from tests.support.studied import EARLY, GOES_ON, GROKS, NEVER, ended_as, publish_studied
from tests.support.trained import settings_at

PATH = f"/v1/groups/{GROUP}/precursors"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the group."""
    settings = settings_at(tmp_path_factory.mktemp("studied"))
    change(settings, publish_studied)
    return settings


@pytest.fixture(scope="module")
def over(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over it."""
    with serving(published, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(params=["fast", "routes"])
def studied(over: Served, request: pytest.FixtureRequest) -> httpx.Client:
    """Its client, by both ways of the fixture `client`."""
    over.client.headers["Accept"] = "*/*" if request.param == "fast" else "*/*;q=0.9"
    return over.client


def change(settings: Settings, by: Any) -> None:
    """Something done to the backends of a home."""

    async def done() -> None:
        async with open_backends(settings) as backends:
            await by(backends)

    asyncio.run(done())


def row(answer: dict[str, Any], series: str) -> Any:
    """One series of a study."""
    return next(one for one in answer["series"] if one["series"] == series)


def test_the_halves(studied: httpx.Client) -> None:
    """By seed, every member in one or left out with the reason."""
    found = get(studied, PATH)
    assert found["chosen_on"] == {
        "seeds": [0, 2],
        "runs": ["groks-0", "groks-2", "never-0", "never-2"],
    }
    assert found["judged_on"]["seeds"] == [1, 3]
    assert found["judged_on"]["runs"] == [
        *("collapses", "false-alarm", "groks-1", "groks-3", "never-1", "never-3")
    ]
    [left] = found["left_out"]
    assert (left["run"], "goes on" in left["reason"]) == ("goes-on", True)
    assert (found["group"], found["provisional"]) == (GROUP, True)


def test_the_key_share_by_hand(studied: httpx.Client) -> None:
    """Threshold .55, half way from .2 to .9: crossed at 200, generalised at 300 and at 200."""
    found = row(get(studied, PATH), "key_share")
    assert found["threshold"]["direction"] == "above"
    assert found["threshold"]["value"] == pytest.approx(0.55)
    judged = found["judged"]
    assert (judged["generalised"], judged["hits"], judged["late"]) == (3, 2, 1)
    assert (judged["never"], judged["false_alarms"], judged["unknown"]) == (3, 1, 0)
    lead = judged["lead"]
    assert (lead["members"], lead["of"], lead["min"], lead["max"]) == (3, 6, 0, 100)
    # (100, 200] to (200, 300], and to (100, 200] of the one that collapsed later.
    assert (lead["low"], lead["high"]) == (pytest.approx(-100 / 3), pytest.approx(500 / 3))
    assert lead["censored"] == {"members": 1, "first": 200, "last": 200}
    assert judged["p_value"] == pytest.approx(0.5)  # (9 + 1) of 20 ways
    assert found["cost"] == {"needs": ["keys", "embedding"], "pairs": 0, "stored": "end"}


def test_what_is_the_same_in_all_has_no_threshold(studied: httpx.Client) -> None:
    """The models are the same files: their losses tell nothing, and it is said so."""
    found = row(get(studied, PATH), "test_loss")
    assert (found["threshold"], found["chosen"], found["judged"]) == (None, None, None)
    assert "no threshold tells more hits" in found["refused"]
    assert found["cost"]["pairs"] == 49


@pytest.mark.parametrize("chosen", READERS)
def test_tables(studied: httpx.Client, chosen: str) -> None:
    """A row a series, both halves in columns of their own, all else in the metadata."""
    answer = json.loads(fetch(studied, PATH, "json"))
    table = READERS[chosen](fetch(studied, PATH, chosen))
    series = answer.pop("series")
    assert json.loads(table.schema.metadata[b"grokprobe"]) == answer
    for one, cells in zip(series, table.to_pylist(), strict=True):
        assert (cells["series"], cells["refused"]) == (one["series"], one["refused"])
        assert cells["threshold"] == (one["threshold"] or {}).get("value")
        assert cells["needs"] == " ".join(one["cost"]["needs"])
        for half in ("chosen", "judged"):
            told = one[half] or {}
            lead = told.get("lead") or {}
            for name in ("hits", "false_alarms", "never", "p_value"):
                assert cells[f"{half}_{name}"] == told.get(name)
            assert cells[f"{half}_lead_mean"] == lead.get("mean")
            assert cells[f"{half}_lead_median"] == (lead.get("survival_quartiles") or [None] * 3)[1]
            assert cells[f"{half}_lead_censored"] == (lead.get("censored") or {}).get("members")
    assert str(table.schema.field("judged_hits").type) == "int64"


def test_csv_and_the_document(studied: httpx.Client) -> None:
    """What pandas reads; and OpenAPI lists the formats that are answered."""
    frame = pd.read_csv(io.BytesIO(fetch(studied, PATH, "csv"))).set_index("series")
    assert frame.loc["key_share", "judged_hits"] == 2
    assert frame.loc["key_share", "judged_false_alarms"] == 1
    assert check_formats(studied, {"group": GROUP}) == 3  # with emergence and /v1/runs


def test_bad_questions(studied: httpx.Client) -> None:
    """A group, a parameter, a format or a method that there is not."""
    check_problem(studied.get("/v1/groups/wd-swep/precursors"), 404, f"did you mean {GROUP}?")
    check_problem(studied.get(f"{PATH}?limit=3"), 400, "known: format, scale, theme, width")
    check_problem(studied.get(f"{PATH}?format=npy"), 406, "json, csv, arrow, parquet")
    check_problem(studied.post(PATH), 405)


def test_what_still_stands_is_304(studied: httpx.Client) -> None:
    """By ETag, which formats and the other question about the group do not share."""
    answer = studied.get(PATH)
    tag = answer.headers["etag"]
    assert answer.headers["cache-control"] == "no-cache"
    assert studied.head(PATH).headers["etag"] == tag
    assert studied.get(f"{PATH}?format=csv").headers["etag"] != tag
    assert studied.get(f"/v1/groups/{GROUP}/emergence").headers["etag"] != tag
    again = studied.get(PATH, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_the_command_prints_the_same(
    published: Settings,
    studied: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line a series with what it takes, both halves named; an unknown group is one line."""
    monkeypatch.setenv("GROKPROBE_HOME", str(published.home_path))
    answer = get(studied, PATH)
    assert main(["study", GROUP]) == 0
    out = capsys.readouterr().out
    for half in (answer["chosen_on"], answer["judged_on"]):
        assert (
            f"of the seeds {', '.join(map(str, half['seeds']))}: {', '.join(half['runs'])}" in out
        )
    assert "left out: goes-on, it goes on" in out
    table = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| `")]
    assert [cells[0] for cells in table] == [f"`{one['series']}`" for one in answer["series"]]
    [cells] = [cells for cells in table if cells[0] == "`key_share`"]
    assert cells[1:6] == [">= 0.55", "2/3", "1", "1/3", "0.5"]
    assert float(cells[-1]) > 0
    assert main(["study", "wd-swep"]) == 2
    assert capsys.readouterr().err == (
        f"error: no published run is in a group 'wd-swep'; did you mean {GROUP}?\n"
    )


def test_what_never_fits(published: Settings, tmp_path: Path) -> None:
    """All series of all members are held at once: what is too much is said before any is read."""
    small = msgspec.structs.replace(published, request_memory_bytes=1000)
    with serving(small, tmp_path) as served:
        check_problem(served.client.get(PATH), 422, f"the series of group '{GROUP}'")
        assert served.client.get(f"/v1/groups/{GROUP}/emergence").status_code == 200


def test_a_member_that_goes_on(published: Settings, over: Served) -> None:
    """Another checkpoint and the end are seen at once; then it stands in a half."""

    async def finish(to: Backends) -> None:
        await publish_some(to, GOES_ON, 5)
        await to.publisher.publish_completion(GOES_ON.completion)
        await to.catalogue.reconcile(to.archive, GOES_ON.name)

    before = over.client.get(PATH)
    change(published, finish)
    after = over.client.get(PATH)
    assert after.headers["etag"] != before.headers["etag"]
    found = after.json()
    assert (found["provisional"], found["left_out"]) == (False, [])
    assert "goes-on" in found["chosen_on"]["runs"]


def test_a_run_that_failed_is_none_that_never_generalises(
    published: Settings, over: Served
) -> None:
    """Nor one that was stopped: left out by name, unless it has generalised before."""
    endings: list[FinalStatus] = ["failed", "stopped"]

    async def publish(to: Backends) -> None:
        for status in endings:
            for run, test in (("short", NEVER), ("grown", GROKS)):
                made = member(f"{run}-{status}", test, EARLY, config(1, 3), 3)
                await ended_as(status, made).publish(to)

    before = row(over.client.get(PATH).json(), "key_share")["judged"]
    change(published, publish)
    found = over.client.get(PATH).json()
    left = {one["run"]: one["reason"] for one in found["left_out"]}
    assert (
        left.items()
        >= {
            "short-failed": "it failed before it had generalised",
            "short-stopped": "it was stopped before it had generalised",
        }.items()
    )
    judged = row(found, "key_share")["judged"]
    assert (judged["never"], judged["false_alarms"]) == (before["never"], before["false_alarms"])
    assert judged["generalised"] == before["generalised"] + 2
