"""Links, files, the key, the tour, and who uses the page without a pointer or without seeing it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from benchmarks.explorer import DRAWN, IN_SIGHT, TALL, looking, scrub, visit
from tests.support.browsing import copied, drawn, wait_until
from tests.support.served import Served, serving
from tests.support.trained import TINY_STEPS, Trained

OpenPage = Callable[..., Any]
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
HAS = "([panel, name, value]) => window.grokprobe.drawn[panel]?.[name] === value"
DARK = "() => document.documentElement.dataset.theme === 'dark'"
PARTS: dict[str, tuple[str, Any]] = {  # of each part of a link: what holds once it is restored
    "step": (HAS, ["trajectory", "step", 20]),
    "frequency": (HAS, ["circle", "frequency", 2]),
    "pair": (
        "() => ['pair', 'asked'].some((name) => String(grokprobe.drawn.grid?.[name]) === '3,5')",
        None,
    ),
    "pin": (HAS, ["circle-pinned", "step", 40]),
    "mark": (
        "() => document.querySelector('#panel-circle') && location.hash.includes('mark=')",
        None,
    ),
    "unit": ("() => grokprobe.drawn.activations", None),
    "cut": (
        "() => document.querySelector('#panel-interventions input[type=checkbox]:checked')",
        None,
    ),
    "time": ("() => document.querySelector('.tools input[type=checkbox]')?.checked", None),
    "tour": ("() => document.querySelector('.tour')?.textContent.startsWith('4 of 7')", None),
    "theme": (DARK, None),
    "search": ("() => document.querySelector('[type=search]')?.value === 'tiny'", None),
} | {
    name: (
        f"() => document.querySelectorAll('.filters select')[{place}]?.value === '{value}'",
        None,
    )
    for place, (name, value) in enumerate(
        [("operation", "add"), ("modulus", "13"), ("status", "complete"), ("group", "many")]
    )
}


@pytest.fixture
def tiny(open_page: OpenPage, served: Served) -> Any:
    """The page of the run `tiny`, once it has drawn."""
    page = open_page(f"{served.url}/#/runs/tiny")
    wait_until(page, HAS, ["grid", "step", 400])
    return page


def test_every_part_of_a_link_is_restored(open_page: OpenPage, served: Served) -> None:
    """The table names them all; each comes back in a new browser, and so do all together."""
    page = open_page(served.url)
    table = page.evaluate("() => window.grokprobe.link")
    assert table.keys() == PARTS.keys()
    for of, path in (("run", "runs/tiny"), ("list", "")):
        named = {name: part["example"] for name, part in table.items() if part["of"] == of}
        queries = [{name: value} for name, value in named.items()] + [named]
        for query in queries:
            text = "&".join(f"{name}={value}" for name, value in query.items())
            other = open_page(f"{served.url}/#/{path}?{text}")
            for name in query:
                wait_until(other, *PARTS[name])
            other.context.close()


def test_scrubbing_draws_every_step_in_every_picture(browser: Browser, served: Served) -> None:
    """One in each animation frame, as the benchmark moves them."""
    panels = DRAWN + IN_SIGHT
    with looking(browser, TALL) as page:
        found = visit(page, served.url, "tiny", panels)
        assert 0 < found["paint_ms"] < found["ready_ms"]
        for _ in range(2):
            scrubbed = scrub(page, panels)
            assert scrubbed["steps"] == TINY_STEPS
            assert len(scrubbed["times"]) == len(TINY_STEPS)


def test_back_and_forward(open_page: OpenPage, served: Served) -> None:
    """Pages are entries of the history, steps are not; a page comes back as it was left."""
    page = open_page(served.url)
    page.get_by_role("link", name="tiny").click()
    wait_until(page, HAS, ["grid", "step", 400])
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    wait_until(page, HAS, ["grid", "step", 340])
    page.get_by_role("link", name="grokprobe").click()
    page.get_by_role("heading", name="Runs").wait_for()
    page.go_back()
    wait_until(page, HAS, ["grid", "step", 340])
    page.go_back()
    page.get_by_role("heading", name="Runs").wait_for()


SNIPPETS: dict[
    str, tuple[str | None, Callable[[Any], Any]]
] = {  # how the numbers of each panel's picture are found in what its snippets answer
    "trajectory": ("steps", lambda told: [row["step"] for row in told["trajectory"]]),
    "circle": ("residues", lambda told: [row["residue"] for row in told["coordinates"]]),
    "spectrum": ("frequencies", lambda told: [row["frequency"] for row in told["spectrum"]]),
    "grid": ("modulus", lambda told: told["modulus"]),
    "spectra": ("step", lambda told: told["spectra"][-1]["step"]),
    "neurons": ("step", lambda told: told["step"]),
    "figures": (None, lambda told: told["run"]),
    "ask": ("predicted", lambda told: told["predictions"][0]["predicted"]),
    "interventions": ("parts", lambda told: told["parts"]),
}


@pytest.mark.parametrize("panel", SNIPPETS)
def test_snippets_run(tiny: Any, panel: str) -> None:
    """As they were copied, with curl and with Python: of every panel, also those that post."""
    shown, found = SNIPPETS[panel]
    tiny.locator(f"#panel-{panel}").scroll_into_view_if_needed()
    if panel == "ask":
        for name, value in (("a", "3"), ("b", "5")):
            tiny.locator(f"#panel-ask input[name={name}]").fill(value)
        tiny.keyboard.press("Enter")
    if panel == "interventions":
        tiny.locator("#panel-interventions input").first.press("Space")
        tiny.get_by_role("button", name="Compute").click()
    if shown is not None:
        wait_until(tiny, "panel => !!window.grokprobe.drawn[panel]", panel)
    wanted = drawn(tiny, panel)[shown] if shown else "tiny"
    command = copied(tiny, panel, "as curl")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
    assert found(json.loads(answer)) == wanted
    code = copied(tiny, panel, "as Python") + "\nprint(json.dumps(found))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert found(json.loads(done.stdout.splitlines()[-1])) == wanted


def test_a_copied_link_restores_the_view(tiny: Any, open_page: OpenPage) -> None:
    """Also the step and the theme, which the address left open."""
    link = copied(tiny, "circle", "link to this view")
    assert "step=400" in link
    assert "theme=light" in link
    wait_until(open_page(link), HAS, ["circle", "step", 400])


@pytest.mark.parametrize(("panel", "form"), [("trajectory", "csv"), ("circle", "arrow")])
def test_a_file_is_downloaded(tiny: Any, panel: str, form: str) -> None:
    """With the numbers that the panel shows."""
    menu = tiny.locator(f"#menu-{panel}")
    menu.locator("summary").click()
    with tiny.expect_download() as found:
        menu.get_by_role("button", name=form, exact=True).click()
    assert Path(found.value.path()).stat().st_size > 100


def test_a_picture_that_is_not_on_offer_is_told_in_words(tiny: Any) -> None:
    """Or it is downloaded, where it is."""
    menu = tiny.locator("#menu-circle")
    menu.locator("summary").click()
    menu.get_by_role("button", name="pdf", exact=True).click()
    menu.get_by_text("There is no pdf").or_(menu.get_by_text("is downloaded")).wait_for()


def test_a_key_is_asked_for_and_forgotten(
    open_page: OpenPage, trained: Trained, tmp_path: Path
) -> None:
    """A wrong one is asked for again; it is kept in the session alone, and in no link."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann {hashlib.sha256(b'a-key').hexdigest()}\n")
    changes = {"GROKPROBE_API_KEYS_FILE": str(keys)}
    with serving(trained.settings, tmp_path, **changes) as served:
        page = open_page(f"{served.url}/#/runs/tiny", bypass_csp=True)
        for key in ("wrong", "a-key"):
            page.get_by_label("API key").fill(key)
            assert violations(page) == []
            page.get_by_role("button", name="Go on").click()
            stored = "key => sessionStorage.getItem('grokprobe.key') === key"
            wait_until(page, stored, None if key == "wrong" else key)
        wait_until(page, HAS, ["grid", "step", 400])
        assert "a-key" not in str(page.evaluate("() => JSON.stringify(localStorage)"))
        for what in ("as curl", "as Python", "link to this view", "link to the picture"):
            assert "a-key" not in copied(page, "circle", what)
        with page.expect_download() as found:
            page.locator("#menu-circle").get_by_role("button", name="csv").click()
        assert Path(found.value.path()).stat().st_size > 100
        page.get_by_role("button", name="forget the key").click()
        page.get_by_label("API key").wait_for()
        wait_until(page, "() => sessionStorage.getItem('grokprobe.key') === null")


def test_the_tour_by_keyboard(open_page: OpenPage, served: Served) -> None:
    """Seven sentences, each with its step and its panel; left at any time."""
    page = open_page(f"{served.url}/#/runs/tiny?tour=1")
    page.get_by_text("1 of 7.").wait_for()
    said = set()
    for number in range(1, 8):
        page.get_by_text(f"{number} of 7.").wait_for()
        said.add(page.locator(".tour p").inner_text())
        assert page.locator("[data-toured]").count() == 1
        assert page.evaluate("() => document.activeElement.textContent") in ("Next", "Finish")
        if number < 7:
            page.keyboard.press("Enter")
    assert len(said) == 7
    assert any("lacks the label “generalised”" in one for one in said)
    page.keyboard.press("Escape")
    page.locator(".tour").wait_for(state="detached")
    wait_until(page, "() => document.activeElement.tagName === 'H1'")


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds: the rule, and the first element."""
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found]


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing(open_page: OpenPage, served: Served, look: str) -> None:
    """On every page; and at phone width and at 200 % nothing is wider than the screen."""
    size = {"width": 360, "height": 740} if look == "phone" else {"width": 1280, "height": 900}
    scheme = "dark" if look == "dark" else "light"
    options = {"viewport": size, "color_scheme": scheme, "reduced_motion": "reduce"}
    beside = "runs/tiny?pin=40&pair=3,5&mark=residue:5"
    for path in ("", "runs/tiny", "runs/tiny?tour=2", beside, "runs/unknown"):
        page = open_page(f"{served.url}/#/{path}", bypass_csp=True, **options)
        page.get_by_role("heading", level=1).wait_for()
        if path.startswith("runs/tiny"):
            wait_until(page, "() => window.grokprobe.drawn.grid")
            page.locator("#panel-circle .numbers summary").click()
            page.locator("#menu-circle summary").click()
        assert violations(page) == []
        page.keyboard.press("?")
        page.get_by_role("heading", name="Keys").wait_for()
        assert violations(page) == []
        page.keyboard.press("Escape")
        fits = "() => document.documentElement.scrollWidth <= innerWidth"
        wait_until(page, fits)
        page.set_viewport_size({"width": 640, "height": 400})
        wait_until(page, fits)
        page.context.close()


def test_numbers_and_step_as_text(tiny: Any) -> None:
    """A table behind a disclosure has what is drawn; the step that rests is said."""
    tiny.locator("#panel-spectrum .numbers summary").click()
    rows = tiny.locator("#panel-spectrum .numbers tbody tr")
    assert rows.count() == len(drawn(tiny, "spectrum")["frequencies"])
    tiny.keyboard.press("Home")
    tiny.locator("#announced").get_by_text("Step 0: train accuracy").wait_for()


def test_help_by_its_key(tiny: Any) -> None:
    """And back to where the focus was."""
    tiny.get_by_label("Switch to dark").focus()
    tiny.keyboard.press("?")
    tiny.get_by_role("heading", name="Keys").wait_for()
    tiny.keyboard.press("Escape")
    assert "Switch to" in tiny.evaluate("() => document.activeElement.ariaLabel")


def test_the_tour_covers_nothing_that_it_is_about(open_page: OpenPage, served: Served) -> None:
    """On a phone either, at no stop: the head of the panel stands above the card."""
    phone = {"viewport": {"width": 360, "height": 740}, "reduced_motion": "reduce"}
    page = open_page(f"{served.url}/#/runs/tiny?tour=1", **phone)
    clear = """() => {
      const card = document.querySelector('.tour').getBoundingClientRect();
      const panel = document.querySelector('[data-toured] h2').getBoundingClientRect();
      return panel.top >= 0 && panel.bottom <= card.top;
    }"""
    for number in range(1, 8):
        page.get_by_text(f"{number} of 7.").wait_for()
        wait_until(page, clear)
        page.keyboard.press("Enter")
