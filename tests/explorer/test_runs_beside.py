"""Another run pinned beside the one that is shown: of the same task, and of another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.browsing import Tab, new_tab
from tests.support.served import Served, serving
from tests.support.trained import settings_at, tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

SHORT: dict[str, Any] = {
    "training": {"steps": 40, "seed": 5},
    "checkpoints": {"every": 20, "log_spaced": 0},
    "local_learning_coefficient": {"every": 0},
}
SHOWN, PANELS = "one", ("circle", "spectrum", "grid")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over two runs modulo 13 and one modulo 11."""
    folder = tmp_path_factory.mktemp("two")
    settings = settings_at(folder)
    for name, modulus, seed in ((SHOWN, 13, 1), ("same-task", 13, 2), ("other-task", 11, 1)):
        training = SHORT["training"] | {"seed": seed}
        config = tiny_config(**SHORT | {"task": {"modulus": modulus}, "training": training})
        assert start(settings, config, name, JsonReporter()) == 0
    with serving(settings, folder) as served:
        yield served


@pytest.fixture
def tab(two: Served, browser: Browser, tmp_path: Path) -> Iterator[Tab]:
    """A tab that complains of nothing but the browser's own words on a comparison refused."""
    with new_tab(browser, two.url, tmp_path, viewport={"width": 1280, "height": 900}) as found:
        found.expect("status of 400")
        yield found


def test_another_run_of_the_task(two: Served, tab: Tab) -> None:
    """Both are drawn, on one scale; the comparison is the API's; the step is of now alone."""
    tab.open(f"#/runs/{SHOWN}?pin=same-task/20&step=40")
    for panel in PANELS:
        tab.wait_for(f"{panel}-pinned", step=20)
        tab.wait_for(panel, step=40)
    assert tab.drawn("circle")["extent"] == tab.drawn("circle-pinned")["extent"]
    answer = two.client.get(f"/v1/compare?a=same-task/20&b={SHOWN}/40").json()
    assert tab.wait_for("compare", a=answer["a"], b=answer["b"]) == answer
    tab.page.keyboard.press("Home")
    tab.wait_for("circle", step=0)
    assert tab.drawn("circle-pinned")["step"] == 20
    tab.photograph("beside-same-task")


def test_a_run_of_another_task(tab: Tab) -> None:
    """Each is drawn as it is; that they cannot be compared is said in the service's words."""
    tab.open(f"#/runs/{SHOWN}?pin=other-task/40&step=20")
    for panel in PANELS:
        tab.wait_for(f"{panel}-pinned", step=40)
        tab.wait_for(panel, step=20)
    assert tab.drawn("grid")["modulus"] == 13
    assert tab.drawn("grid-pinned")["modulus"] == 11
    assert tab.drawn("grid")["gained"] is None
    tab.page.get_by_text("only checkpoints of one task can be compared").wait_for()
    tab.photograph("beside-other-task")


def test_a_run_that_is_not_there(tab: Tab) -> None:
    """It is told, and the run that is shown is drawn all the same."""
    tab.expect("status of 404")
    tab.open(f"#/runs/{SHOWN}?pin=nobody/40")
    for panel in PANELS:
        tab.wait_for(panel, step=40)
    tab.page.locator("#panel-circle-pinned").get_by_text("nobody").last.wait_for()
    tab.photograph("beside-nobody")
