"""Nulls in any series: what is not known is a gap, and all else is drawn."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browsing import Tab, new_tab
from tests.support.meddling import Meddler, meddling
from tests.support.served import Served
from tests.support.trained import TINY_STEPS

ROOT = Path(__file__).parents[2]
MEASURES = re.findall(
    r"'(\w+)'",
    (ROOT / "explorer" / "src" / "data" / "run.ts")
    .read_text()
    .partition("MEASURES = [")[2]
    .partition("]")[0],
)
PANELS = ("trajectory", "circle", "spectrum", "grid", "spectra")
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def between(served: Served) -> Iterator[Meddler]:
    """The proxy before a service over the run `tiny`."""
    with meddling(served.url) as meddler:
        yield meddler


@pytest.fixture
def tab(browser: Browser, between: Meddler, tmp_path: Path) -> Iterator[Tab]:
    """One of its own for each test, with nothing kept from another."""
    with new_tab(browser, between.url, tmp_path) as found:
        found.expect("Failed to load resource")
        yield found


def without(*names: str, rows: slice = slice(None)) -> Change:
    """Make some measures unknown at some steps."""

    def change(answer: Any) -> None:
        for row in answer["trajectory"][rows]:
            row |= {name: None for name in names if name in row}

    return change


def no_shares(answer: Any) -> None:
    for row in answer["spectra"]:
        row["values"] = [None for _ in row["values"]]


def a_share_less(answer: Any) -> None:
    answer["spectra"][3]["values"][1] = None


def no_places(answer: Any) -> None:
    for row in answer["coordinates"]:
        row |= {"radius": None, "r_squared": None, "explained_share": None}
        row |= {axis: [None for _ in row[axis]] for axis in ("x", "y")}


def a_place_less(answer: Any) -> None:
    answer["coordinates"][3]["x"][2] = answer["coordinates"][3]["y"][2] = None


def no_labels(answer: Any) -> None:
    answer |= {"memorised": None, "generalised": None, "intervals": [], "lost": []}
    answer["phases"] = dict.fromkeys(answer["phases"])


NULLS: dict[str, tuple[str, Change]] = {
    **{name: (r"/trajectory\?", without(name)) for name in MEASURES},
    "every measure": (r"/trajectory\?", without(*MEASURES)),
    "every measure, first": (r"/trajectory\?", without(*MEASURES, rows=slice(0, 5))),
    "every measure, now and then": (r"/trajectory\?", without(*MEASURES, rows=slice(1, None, 2))),
    "all shares": (r"/tiny/spectra", no_shares),
    "a share": (r"/tiny/spectra", a_share_less),
    "all coordinates": (r"/coordinates", no_places),
    "a residue's": (r"/coordinates", a_place_less),
    "labels": (r"/emergence", no_labels),
}


@pytest.mark.parametrize("name", NULLS)
def test_nulls(tab: Tab, between: Meddler, name: str) -> None:
    """Every panel draws the first and the last step, and null where it is not known."""
    path, change = NULLS[name]
    between.heal()
    between.alter(path, change)
    tab.open("#/runs/tiny")
    for panel in PANELS:
        tab.wait_for(panel, step=TINY_STEPS[-1])
    if name in MEASURES:
        assert set(tab.drawn("trajectory").get(name) or [None]) == {None}
    if name == "all shares":
        assert set(tab.drawn("spectrum")["shares"]) == {None}
    tab.page.keyboard.press("Home")
    for panel in PANELS:
        tab.wait_for(panel, step=TINY_STEPS[0])
    words = tab.page.locator("main").inner_text()
    assert "NaN" not in words
    assert "undefined" not in words
    assert "null" not in words
