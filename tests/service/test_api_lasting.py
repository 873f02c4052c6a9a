"""What was lost again, and what has come to rest, over the API: of runs written down by hand."""

import asyncio
import io
from collections.abc import Iterator

import httpx
import pandas as pd
import pytest

from grokprobe.analysis.lasting import intervals, losses, plateaus, regains
from grokprobe.store.backends import open_backends
from tests.service.test_api import get
from tests.service.test_api_formats import READERS, fetch
from tests.support.grouped import GROUP, STEPS, member
from tests.support.served import serving
from tests.support.trained import settings_at

TEST = {
    "regains": (0.1, 0.99, 1.0, 0.3, 1.0),
    "collapses": (0.1, 1.0, 1.0, 0.98, 0.2),
    "lasts": (0.1, 0.5, 1.0, 1.0, 1.0),
    "never": (0.1, 0.1, 0.1, 0.1, 0.977),
}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over the four, by both ways of a client in turn."""
    settings = settings_at(tmp_path_factory.mktemp("lasting"))

    async def publish() -> None:
        async with open_backends(settings) as opened:
            for run, test in TEST.items():
                await member(run, test, (0.0, 0.5, 1.0, 1.0, 1.0)).publish(opened)

    asyncio.run(publish())
    with serving(settings, tmp_path_factory.mktemp("served")) as served:
        yield served.client


def turn(step: int, previous_step: int) -> dict[str, int]:
    """A change with its bracket."""
    return {"step": step, "previous_step": previous_step}


def test_a_run_that_regains_and_one_that_does_not(lasting: httpx.Client) -> None:
    """Both held from (0, 100] to [200, 300); the one is generalised again, the other not."""
    held = {"gained": turn(100, 0), "lost": turn(300, 200), "checkpoints_held": 2}
    again = {"gained": turn(400, 300), "lost": None, "checkpoints_held": 1}
    found = get(lasting, "/v1/runs/regains/emergence")
    assert found["intervals"] == [held, again]
    assert (found["lost"], found["regained"]) == ([turn(300, 200)], [turn(400, 300)])
    assert found["generalised"]["step"] == 400
    found = get(lasting, "/v1/runs/collapses/emergence")
    assert (found["intervals"], found["generalised"]) == ([held], None)
    assert (found["lost"], found["regained"]) == ([turn(300, 200)], [])


@pytest.mark.parametrize("run", TEST)
def test_every_answer_is_that_of_its_series(lasting: httpx.Client, run: str) -> None:
    """As the trajectory tells it; the rule of a plateau is said, and its verdict in the table."""
    found = get(lasting, f"/v1/runs/{run}/emergence")
    names = "test_accuracy,key_share,restricted_accuracy"
    rows = get(lasting, f"/v1/runs/{run}/trajectory", measures=names)["trajectory"]
    series = {name: [row.get(name) for row in rows] for name in found["series"]}
    stretches = intervals(STEPS, TEST[run])
    assert len(found["intervals"]) == len(stretches)
    assert len(found["lost"]) == len(losses(stretches))
    assert len(found["regained"]) == len(regains(stretches))
    assert found["plateaus"]["rule"] == {"window": 0.2, "tolerance": 0.02, "checkpoints": 3}
    expected = plateaus(STEPS, series)
    assert found["plateaus"]["from_step"] == expected.from_step == 320
    for name, one in expected.series.items():
        told = found["plateaus"]["series"][name]
        assert (told["reached"], told["change"]) == (one.reached, one.change)
        assert told["since"] == (
            one.since
            and {field: getattr(one.since, field) for field in one.since.__struct_fields__}
        )
    for chosen, read in READERS.items():
        for row in read(fetch(lasting, f"/v1/runs/{run}/emergence", chosen)).to_pylist():
            assert row["plateau"] == expected.series[row["series"]].reached
    frame = pd.read_csv(io.BytesIO(fetch(lasting, f"/v1/runs/{run}/emergence", "csv")))
    assert "plateau" in frame


def test_a_group_tells_who_lost_it(lasting: httpx.Client) -> None:
    """One that collapsed is censored as one that never generalised: `lost` tells them apart."""
    found = get(lasting, f"/v1/groups/{GROUP}/emergence")
    lost = {row["run"]: row["lost"] for row in found["members"]}
    assert lost == {
        "collapses": turn(300, 200),
        "lasts": None,
        "never": None,
        "regains": turn(300, 200),
    }
    assert found["distribution"]["generalised"]["censored"]["members"] == 2
    frame = pd.read_csv(io.BytesIO(fetch(lasting, f"/v1/groups/{GROUP}/emergence", "csv")))
    assert frame["lost_step"].dropna().tolist() == [300, 300]
    assert frame["lost_previous_step"].dropna().tolist() == [200, 200]
