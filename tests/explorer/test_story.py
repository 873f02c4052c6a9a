"""The story of quickstart: from the list to the run, and through its training."""

from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.explorer.conftest import Tabs
from tests.support.browsing import Tab
from tests.support.served import Quickstart

RUN = "/v1/runs/quickstart"
LINES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "key_share")


class Story:
    """What the API says of the run, series by series."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.run = self.get("")
        self.trajectory = self.get(f"/trajectory?measures={','.join(LINES)}")["trajectory"]
        self.steps = [row["step"] for row in self.trajectory]
        self.circles = {row["step"]: row for row in self.get("/coordinates")["coordinates"]}
        self.spectra = {row["step"]: row["values"] for row in self.get("/spectra")["spectra"]}
        self.right = {r["step"]: r["values"] for r in self.get("/grids?of=correct")["grids"]}

    def get(self, path: str) -> Any:
        """A resource of the run."""
        answer = self.client.get(f"{RUN}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def story(quickstart: Quickstart) -> Story:
    """The run as the API has it."""
    return Story(quickstart.served.client)


def xy(row: dict[str, Any]) -> list[list[float]]:
    """The plane of a circle as the page holds it."""
    found: list[list[float]] = np.array([row["x"], row["y"]], np.float32).T.astype(float).tolist()
    return found


def check_drawn(tab: Tab, story: Story, step: int) -> None:
    """Circle, spectrum, grid and trajectory draw the API's numbers of this step."""
    circle = tab.wait_for("circle", step=step)
    assert np.reshape(circle["xy"], (-1, 2)).tolist() == xy(story.circles[step])
    assert circle["r_squared"] == story.circles[step]["r_squared"]
    assert tab.wait_for("spectrum", step=step)["shares"] == story.spectra[step]
    grid = tab.wait_for("grid", step=step)
    p = story.run["task"]["modulus"]
    bits = np.unpackbits(np.array(grid["bits"], np.uint8), count=p * p)
    assert bits.astype(bool).tolist() == story.right[step]
    assert grid["right"] == sum(story.right[step])
    trajectory = tab.wait_for("trajectory", step=step)
    assert trajectory["steps"] == story.steps
    for name in LINES:
        assert trajectory[name] == [row[name] for row in story.trajectory], name


def test_from_memorised_to_generalised(tabs: Tabs, quickstart: Quickstart, story: Story) -> None:
    """Open, pick the run, drag: at every step all four pictures show what the API says of it."""
    tab = tabs(quickstart.served.url)
    tab.page.get_by_role("link", name="quickstart a + b").click()
    tab.wait_for("circle", step=story.steps[-1])
    bounds = (story.run["memorised_step"], story.run["generalised_step"])
    first, last = map(story.steps.index, bounds)
    tab.page.get_by_role("button", name="Play").focus()
    slider = tab.page.get_by_role("slider", name="step")
    box = slider.bounding_box()
    assert box is not None
    thumb = 16  # pixels: what of the slider's length is no way

    def at(index: int) -> tuple[float, float]:
        way = (box["width"] - thumb) * index / (len(story.steps) - 1)
        return box["x"] + thumb / 2 + way, box["y"] + box["height"] / 2

    tab.page.mouse.move(*at(first))
    tab.page.mouse.down()
    for index in range(first, last + 1):
        tab.page.mouse.move(*at(index))
        check_drawn(tab, story, story.steps[index])
    tab.page.mouse.up()
    # The circle has formed meanwhile, as the API has it of these single checkpoints.
    before, after = (story.circles[step]["r_squared"] for step in bounds)
    assert after > before
    split = story.get("/split")["train"]
    drawn = tab.drawn("grid")
    assert [one == 1 for one in drawn["split"]] == split
    expect(tab.page.locator("span.step")).to_contain_text("generalised")


@pytest.mark.parametrize("step", ["memorised", "generalised"])
def test_single_checkpoints_say_the_same(
    tabs: Tabs, quickstart: Quickstart, story: Story, step: str
) -> None:
    """What is drawn is what the checkpoint's own resources answer."""
    number = story.run[f"{step}_step"]
    tab = tabs(quickstart.served.url, f"#/runs/quickstart?step={number}")
    drawn = tab.wait_for("circle", step=number)
    at = f"/checkpoints/{number}"
    circle = story.get(f"{at}/embedding?projection=frequency&frequency={drawn['frequency']}")
    plane = np.array([[row["x"], row["y"]] for row in circle["coordinates"]])
    np.testing.assert_allclose(np.reshape(drawn["xy"], (-1, 2)), plane, rtol=1e-5, atol=1e-6)
    rows = story.get(f"{at}/predictions")["predictions"]
    assert tab.wait_for("grid", step=number)["right"] == sum(row["correct"] for row in rows)
    figures = tab.drawn("figures")
    measures = story.get(f"{at}/measures")["measures"]
    for name in ("train_loss", "test_accuracy", "weight_norm", "key_share"):
        assert figures[name] == {"step": number, "value": measures[name]}


def test_dragging_in_a_chart(tabs: Tabs, quickstart: Quickstart, story: Story) -> None:
    """The charts of training are sliders too: the step is the nearest to where the pointer is."""
    tab = tabs(quickstart.served.url, "#/runs/quickstart")
    tab.wait_for("circle", step=story.steps[-1])
    over = tab.page.locator("#panel-trajectory .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    tab.page.mouse.move(box["x"] + 1, box["y"] + 20)
    tab.page.mouse.down()
    for index in (len(story.steps) // 3, len(story.steps) // 2):
        way = story.steps[index] / story.steps[-1]
        tab.page.mouse.move(box["x"] + way * box["width"], box["y"] + 20)
        check_drawn(tab, story, story.steps[index])
    tab.page.mouse.up()


def test_playing(tabs: Tabs, quickstart: Quickstart, story: Story) -> None:
    """From the first checkpoint to the last, paused in between, and played again from the start."""
    tab = tabs(quickstart.served.url, f"#/runs/quickstart?step={story.steps[0]}")
    check_drawn(tab, story, story.steps[0])
    tab.page.get_by_label("checkpoints in a second").select_option("4")
    tab.page.get_by_role("button", name="Play").click()
    tab.page.wait_for_function("first => grokprobe.drawn.circle.step > first", arg=story.steps[0])
    tab.page.get_by_role("button", name="Pause").click()
    tab.page.get_by_role("button", name="Play").wait_for()
    paused = tab.drawn("figures")["step"]
    assert story.steps[0] < paused < story.steps[-1]
    check_drawn(tab, story, paused)
    tab.page.get_by_label("checkpoints in a second").select_option("60")
    tab.page.get_by_role("button", name="Play").click()
    tab.page.get_by_role("button", name="Play").wait_for()
    check_drawn(tab, story, story.steps[-1])


def test_keys_alone(tabs: Tabs, quickstart: Quickstart, story: Story) -> None:
    """Arrows, a leap, both ends, and the space bar."""
    tab = tabs(quickstart.served.url, "#/runs/quickstart")
    tab.wait_for("circle", step=story.steps[-1])
    way = {"Home": 0, "ArrowRight": 1, "PageDown": 11, "ArrowLeft": 10, "PageUp": 0, "End": -1}
    for key, index in way.items():
        tab.page.keyboard.press(key)
        check_drawn(tab, story, story.steps[index])
    tab.page.keyboard.press("Home")
    tab.wait_for("circle", step=story.steps[0])
    tab.page.keyboard.press(" ")
    tab.page.get_by_role("button", name="Pause").wait_for()
    tab.page.keyboard.press(" ")
    tab.page.get_by_role("button", name="Play").wait_for()


def test_a_link_restores_the_view(tabs: Tabs, quickstart: Quickstart, story: Story) -> None:
    """Step, frequency, axis and pair stand in the address, and another browser shows the same."""
    tab = tabs(quickstart.served.url, "#/runs/quickstart")
    tab.wait_for("circle", step=story.steps[-1])
    for _ in range(3):
        tab.page.keyboard.press("ArrowLeft")
    tab.page.locator("#panel-circle select").select_option("5")
    tab.wait_for("circle", frequency=5, step=story.steps[-4])
    tab.page.get_by_label("steps by their logarithm").check()
    canvas = tab.page.locator("#panel-grid canvas")
    canvas.click(position={"x": 150, "y": 120})
    tab.page.wait_for_function("() => grokprobe.drawn.grid.pair")
    pair = tab.drawn("grid")["pair"]
    tab.page.wait_for_url(lambda url: all(n in url for n in ("step=", "frequency=5", "pair=")))
    address = tab.page.url.removeprefix(tab.root).lstrip("/")
    other = tabs(quickstart.served.url, address)
    other.wait_for("circle", frequency=5, step=story.steps[-4])
    found = other.wait_for("grid", step=story.steps[-4], pair=pair)
    assert found == {**tab.drawn("grid"), "pair": pair}
    expect(other.page.get_by_label("steps by their logarithm")).to_be_checked()
    row = {r["step"]: r for r in story.get("/coordinates?frequency=5")["coordinates"]}
    drawn = other.drawn("circle")["xy"]
    assert np.reshape(drawn, (-1, 2)).tolist() == xy(row[story.steps[-4]])


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_how_it_looks(tabs: Tabs, quickstart: Quickstart, story: Story, look: str) -> None:
    """Axe finds nothing, nothing is wider than the screen, and a picture is kept to be seen."""
    step = story.run["generalised_step"]
    pages = {"list": "", "run": f"#/runs/quickstart?step={step}"}
    for name, address in pages.items():
        tab = tabs(quickstart.served.url, address, **LOOKS[look])
        if name == "run":
            tab.wait_for("circle", step=step)
            tab.page.locator("#panel-neurons").scroll_into_view_if_needed()
            tab.wait_for("neurons", step=step)
            tab.page.keyboard.press("ArrowLeft")
            tab.page.keyboard.press("ArrowRight")
            tab.wait_for("neurons", step=step)
        else:
            tab.page.get_by_role("link", name="quickstart a + b").wait_for()
        assert tab.violations() == []
        wide = tab.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]
        assert tab.photograph(f"{name}-{look}").stat().st_size > 0
