"""All that the page can do, by keyboard alone: no pointer moves, nothing is focused for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browsing import drawn, new_tab, wait_until
from tests.support.served import Served
from tests.support.trained import TINY_STEPS

HAS = "([panel, name, value]) => window.grokprobe.drawn[panel]?.[name] === value"
MOST = 250  # presses of Tab to whatever there is
# What has the focus: its panel, its name for who does not see it, whether it is seen, with a sign
# that it has the focus and nothing on top of it.
FOCUSED = """() => {
  const one = document.activeElement;
  const { left, right, top, bottom } = one.getBoundingClientRect();
  const middle = (a, b, most) => (Math.max(a, 0) + Math.min(b, most - 1)) / 2;
  const hit = document.elementFromPoint(
    middle(left, right, innerWidth), middle(top, bottom, innerHeight));
  const near = one.labels?.[0];
  const on = hit && (one.contains(hit) || hit.contains(one) || !!near?.contains(hit));
  const marked = getComputedStyle(one).outlineStyle !== 'none';
  const label = one.labels?.[0]?.innerText ?? '';
  return {
    panel: one.closest('section, dialog, nav, main')?.id ?? '',
    name: (one.ariaLabel || label || one.innerText || one.placeholder || one.title || '').trim(),
    tag: one.tagName.toLowerCase(),
    inside: one !== document.body,
    seen: one === document.body ||
      (right > left && bottom > 0 && top < innerHeight && on && marked),
  };
}"""


@pytest.fixture(scope="module")
def page(
    browser: Browser, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The list of runs."""
    folder = tmp_path_factory.mktemp("keyboard")
    size = {"width": 1280, "height": 900}
    with new_tab(browser, served.url, folder, viewport=size, reduced_motion="reduce") as tab:
        tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.expect("Failed to load resource")
        tab.open()
        tab.page.locator("a[href*='runs/tiny']").first.wait_for()
        yield tab.page


def tab_to(page: Page, name: str, panel: str = "", tag: str = "", key: str = "Tab") -> None:
    """Press Tab until what is wanted has the focus; all that had it on the way could be seen."""
    passed = []
    for _ in range(MOST):
        page.keyboard.press(key)
        found: dict[str, Any] = page.evaluate(FOCUSED)
        assert found["seen"], found
        passed.append(found["name"])
        if (
            name.lower() in found["name"].lower()
            and panel in found["panel"]
            and tag in found["tag"]
        ):
            return
    raise AssertionError(f"{name!r} is not reached by {key}; passed {passed}")


def press(page: Page, *keys: str) -> None:
    """Keys, one after another."""
    for key in keys:
        page.keyboard.press(key)


def has(page: Page, panel: str, name: str, value: Any) -> None:
    """Wait until a panel has drawn this."""
    wait_until(page, HAS, [panel, name, value])


def in_run(page: Page, served: Served, query: str = "") -> None:
    """The page of the run, anew, with nothing focused."""
    page.goto("about:blank")
    page.goto(f"{served.url}/#/runs/tiny{query}")
    has(page, "grid", "modulus", 13)


def test_a_run_is_found_and_opened(page: Page) -> None:
    """By its name, by a filter, and back to the list."""
    tab_to(page, "", tag="input")
    page.keyboard.type("tin")
    wait_until(page, "() => location.hash.includes('search=tin')")
    tab_to(page, "", tag="select")
    press(page, "ArrowDown")
    tab_to(page, "tiny", tag="a")
    press(page, "Enter")
    has(page, "grid", "step", TINY_STEPS[-1])
    tab_to(page, "grokprobe", tag="a", key="Shift+Tab")
    press(page, "Enter")
    page.get_by_role("heading", name="Runs").wait_for()


def test_the_step(page: Page, served: Served) -> None:
    """By arrows wherever the focus is, by the slider, by playing."""
    in_run(page, served)
    press(page, "Home")
    has(page, "grid", "step", TINY_STEPS[0])
    press(page, "ArrowRight", "ArrowRight")
    has(page, "grid", "step", TINY_STEPS[2])
    press(page, "PageDown", "End")
    has(page, "grid", "step", TINY_STEPS[-1])
    press(page, "ArrowLeft")
    has(page, "circle", "step", TINY_STEPS[-2])
    tab_to(page, "step", tag="input")
    press(page, "Home")
    has(page, "spectrum", "step", TINY_STEPS[0])
    tab_to(page, "Play", key="Shift+Tab")
    press(page, "Enter")
    has(page, "grid", "step", TINY_STEPS[-1])
    press(page, "Home", "Space", "Space")
    page.get_by_role("button", name="Play").wait_for()


def test_pinned_and_let_go(page: Page, served: Served) -> None:
    """By its key and by its button; the numbers of the comparison come."""
    in_run(page, served, "?step=100")
    press(page, "p", "End")
    has(page, "circle-pinned", "step", 100)
    wait_until(page, "() => window.grokprobe.drawn.compare?.b.step === 400")
    tab_to(page, "Unpin")
    press(page, "Enter")
    wait_until(page, "() => !window.grokprobe.drawn['circle-pinned']")


def test_frequency_theme_and_time(page: Page, served: Served) -> None:
    """Each by its own control."""
    in_run(page, served)
    tab_to(page, "frequency", panel="circle", tag="select")
    before = drawn(page, "circle")["frequency"]
    press(page, "ArrowDown")
    wait_until(page, "before => window.grokprobe.drawn.circle.frequency !== before", before)
    tab_to(page, "logarithm", key="Shift+Tab")
    press(page, "Space")
    wait_until(page, "() => location.hash.includes('time=log')")
    tab_to(page, "Switch to", key="Shift+Tab")
    press(page, "Enter")
    wait_until(page, "() => document.documentElement.dataset.theme === 'dark'")
    press(page, "Enter")
    wait_until(page, "() => document.documentElement.dataset.theme === 'light'")


@pytest.mark.parametrize(
    ("panel", "marks"),
    [("circle", "Residue"), ("spectrum", "Frequency"), ("grid", "Pair"), ("neurons", "Neuron")],
)
def test_what_a_pointer_hovers_the_arrows_reach(
    page: Page, served: Served, panel: str, marks: str
) -> None:
    """In a picture they go from one thing to the next, and Escape lets it go."""
    in_run(page, served)
    tab_to(page, "", panel=f"panel-{panel}", tag="canvas")
    press(page, "ArrowRight")
    wait_until(page, "marks => window.grokprobe.drawn.highlight?.words.startsWith(marks)", marks)
    press(page, "Escape")
    wait_until(page, "() => !window.grokprobe.drawn.highlight?.words")


def test_asked(page: Page, served: Served) -> None:
    """A pair by two numbers; the answer comes, and what is copied of it runs elsewhere."""
    in_run(page, served)
    tab_to(page, "a", panel="panel-ask", tag="input")
    page.keyboard.type("3")
    press(page, "Tab")
    page.keyboard.type("5")
    press(page, "Enter")
    has(page, "ask", "b", 5)
    tab_to(page, "Links and files", panel="panel-ask")
    press(page, "Enter")
    tab_to(page, "as curl")
    press(page, "Enter")
    wait_until(page, "async () => (await navigator.clipboard.readText()).includes('[[3,5]]')")
    press(page, "Escape")
    assert page.evaluate(FOCUSED)["tag"] == "summary"


def test_switched_off(page: Page, served: Served) -> None:
    """A frequency is ticked and what is lost without it computed."""
    in_run(page, served)
    tab_to(page, "", panel="panel-interventions", tag="input")
    press(page, "Space")
    tab_to(page, "Compute")
    press(page, "Enter")
    wait_until(page, "() => window.grokprobe.drawn.interventions?.members.length === 1")


def test_one_unit(page: Page, served: Served) -> None:
    """By its number."""
    in_run(page, served)
    tab_to(page, "number", panel="panel-activations", tag="input")
    page.keyboard.type("2")
    press(page, "Enter")
    wait_until(page, "() => window.grokprobe.drawn.activations?.path.includes('2')")


def test_a_file_and_the_numbers(page: Page, served: Served) -> None:
    """Of a panel's menu, and of the table below a picture."""
    in_run(page, served)
    tab_to(page, "Links and files of: The circle")
    press(page, "Enter")
    tab_to(page, "csv")
    with page.expect_download() as found:
        press(page, "Enter")
    assert found.value.suggested_filename.endswith(".csv")
    press(page, "Escape")
    tab_to(page, "numbers", panel="panel-circle", tag="summary")
    press(page, "Enter")
    page.locator("#panel-circle .numbers tbody tr").first.wait_for()


def test_help_and_tour(page: Page, served: Served) -> None:
    """Opened, gone through and left."""
    in_run(page, served)
    tab_to(page, "Keys and help")
    press(page, "Enter")
    page.get_by_role("heading", name="Keys").wait_for()
    press(page, "Escape")
    assert page.evaluate(FOCUSED)["name"] == "Keys and help"
    tab_to(page, "A tour of this run")
    press(page, "Enter")
    for number in range(1, 8):
        page.get_by_text(f"{number} of 7.").wait_for()
        page.locator(".tour :focus").wait_for()  # a frame after its words
        press(page, "Enter")
    page.locator(".tour").wait_for(state="detached")


def test_the_focus_goes_through_the_page_and_out(page: Page, served: Served) -> None:
    """Each stop has a name and can be seen, and there is an end."""
    in_run(page, served)
    stops = 0
    page.keyboard.press("Tab")
    while (found := page.evaluate(FOCUSED))["inside"]:
        assert found["seen"], found
        assert found["name"], found
        stops += 1
        assert stops < MOST
        page.keyboard.press("Tab")
    assert stops > 30
