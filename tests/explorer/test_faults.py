"""What goes wrong between page and service: the page says so in words, and recovers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.explorer.conftest import Tabs
from tests.support.browsing import Tab, wait_until
from tests.support.meddling import Meddler, meddling
from tests.support.served import Served

PANELS = ("trajectory", "circle", "spectrum", "grid", "spectra")
PROBLEM = {"Content-Type": "application/problem+json"}
HTML = {"Content-Type": "text/html"}
PAGE = b"<!doctype html><title>Bad gateway</title><h1>nginx</h1>"
# Of each series: its path, and the panels that have no picture without it.
SERIES = {
    "trajectory": (r"tiny/trajectory\?", {"trajectory"}),
    "spectra": (r"tiny/spectra", {"spectrum", "spectra"}),
    "coordinates": (r"tiny/coordinates", {"circle"}),
    "grids": (r"tiny/grids", {"grid"}),
}
PRESS = """() => {
  const buttons = [...document.querySelectorAll("button")];
  const all = buttons.filter((one) => one.textContent === "Ask again");
  all.forEach((one) => one.click());
  return !all.length;
}"""


@pytest.fixture(scope="module")
def service(served: Served) -> Iterator[Meddler]:
    """The proxy before a service over the run `tiny`."""
    with meddling(served.url) as meddler:
        yield meddler


@pytest.fixture
def between(service: Meddler) -> Iterator[Meddler]:
    """The proxy, which at first does nothing."""
    service.heal()
    yield service
    service.heal()


@pytest.fixture
def tiny(tabs: Tabs, between: Meddler) -> Any:
    """Opens the run's page through the proxy."""

    def opened(address: str = "#/runs/tiny") -> Tab:
        tab = tabs(between.url, address, viewport={"width": 1280, "height": 900})
        tab.expect("Failed to load resource")  # the browser's own words
        return tab

    return opened


def problem(detail: str) -> bytes:
    return f'{{"title": "a title", "detail": "{detail}"}}'.encode()


def whole(tab: Tab) -> None:
    """All panels draw."""
    for panel in PANELS:
        tab.comes(panel, step=400)
    tab.page.get_by_text("Ask again", exact=True).wait_for(state="detached")


def ask_again(tab: Tab) -> None:
    """Press every such button, until none is left; some wait for what others bring."""
    tab.page.wait_for_function(PRESS, polling=300)


WHILE_IT_LASTS = {
    "429": (429, problem("too many requests"), PROBLEM, "Too many requests."),
    "503": (503, problem("it starts"), PROBLEM, "It starts."),
    "502 of a proxy": (502, PAGE, HTML, "The service answered 502."),
    "504 without a body": (504, b"", {}, "The service answered 504."),
}


@pytest.mark.parametrize("name", WHILE_IT_LASTS)
@pytest.mark.parametrize("of", ["spectra", "run"])
def test_what_passes_is_asked_again(tiny: Any, between: Meddler, name: str, of: str) -> None:
    """It says what it waits for, as long as that lasts; all else is drawn; then this too."""
    status, body, headers, words = WHILE_IT_LASTS[name]
    path = SERIES["spectra"][0] if of == "spectra" else r"/v1/runs/tiny$"
    between.answer(path, status, body, {**headers, "Retry-After": "0"})
    tab = tiny()
    if of == "spectra":
        tab.page.locator("#panel-spectrum").get_by_text(words).wait_for()
        for panel in ("trajectory", "circle", "grid"):
            tab.comes(panel, step=400)
    else:
        tab.page.get_by_text(words).wait_for()
    between.heal()
    whole(tab)


@pytest.mark.parametrize("after", [0, 20])
def test_an_answer_that_breaks_off(tiny: Any, between: Meddler, after: int) -> None:
    """Of JSON and of an array: asked again until all of it comes."""
    between.cut(SERIES["spectra"][0], after)
    between.cut(SERIES["grids"][0], after)
    tab = tiny()
    for panel in ("spectrum", "grid"):
        tab.page.locator(f"#panel-{panel}").get_by_text("The answer broke off.").wait_for()
    tab.comes("circle", step=400)
    between.heal()
    whole(tab)


def test_no_answer_at_all(tiny: Any, between: Meddler) -> None:
    """The connection is closed before it."""
    between.drop(SERIES["spectra"][0])
    tab = tiny()
    tab.page.locator("#panel-spectrum").get_by_text("The service does not answer.").wait_for()
    between.heal()
    whole(tab)


NO_ANSWERS = {
    "a page": (PAGE, HTML),
    "nothing": (b"", {}),
    "null": (b"null", {}),
    "a list": (b"[]", {}),
    "an object": (b"{}", {}),
    "a text": (b'"x"', {}),
    "a number for each list": (b'{"trajectory": 3, "spectra": 3, "coordinates": 3}', {}),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer(tiny: Any, between: Meddler, name: str) -> None:
    """Of every series: each panel says so in words and has a button, after which it draws."""
    body, headers = NO_ANSWERS[name]
    for path, _ in SERIES.values():
        between.answer(path, 200, body, headers)
    tab = tiny()
    for panel in PANELS:
        tab.page.locator(f"#panel-{panel}").get_by_text("no answer of this service").wait_for()
    between.heal()
    ask_again(tab)
    whole(tab)


@pytest.mark.parametrize("name", ["a page", "null", "an object"])
def test_no_answer_about_the_run(tiny: Any, between: Meddler, name: str) -> None:
    """The page has nothing else to show; the button brings it."""
    between.answer(r"/v1/runs/tiny$", 200, *NO_ANSWERS[name])
    tab = tiny()
    tab.page.get_by_text("no answer of this service").wait_for()
    tab.page.get_by_role("link", name="All runs").wait_for()
    between.heal()
    tab.page.get_by_role("button", name="Ask again").click()
    whole(tab)


@pytest.mark.parametrize("name", ["a page", "null", "an object"])
def test_no_answer_about_the_list(tiny: Any, between: Meddler, name: str) -> None:
    """The list says so, and is there once an answer comes; sparklines are only missing."""
    between.answer(r"/v1/runs\?", 200, *NO_ANSWERS[name])
    between.answer(SERIES["trajectory"][0], 200, *NO_ANSWERS[name])
    tab = tiny("")
    tab.page.get_by_text("no answer of this service").wait_for()
    between.heal()
    tab.page.get_by_role("link", name="tiny").wait_for()


@pytest.mark.parametrize("name", SERIES)
def test_a_series_that_fails(tiny: Any, between: Meddler, name: str) -> None:
    """Its panels say why; the others draw; the button brings it."""
    path, panels = SERIES[name]
    between.answer(path, 500, problem("it fell over"), PROBLEM)
    tab = tiny()
    for panel in panels:
        tab.page.locator(f"#panel-{panel}").get_by_text("It fell over.").wait_for()
    if name != "trajectory":  # which names the steps of the arrays
        for panel in set(PANELS) - panels:
            tab.wait_for(panel, step=400)
    between.heal()
    ask_again(tab)
    whole(tab)


def test_a_split_that_fails(tiny: Any, between: Meddler) -> None:
    """Pairs are drawn, the caption says what is missing; it comes by the button."""
    between.answer(r"/split$", 500, problem("it fell over"), PROBLEM)
    tab = tiny()
    grid = tab.page.locator("#panel-grid")
    grid.get_by_text("Which were trained on could not be loaded.").wait_for()
    assert tab.wait_for("grid", step=400)["split"] is None
    between.heal()
    grid.get_by_role("button", name="Ask again").click()
    grid.get_by_text("train pairs (dots)").wait_for()
    whole(tab)
    assert sum(tab.drawn("grid")["split"]) == tab.drawn("grid")["train"]


def test_labels_that_fail(tiny: Any, between: Meddler) -> None:
    """The lines are drawn without them, and it says why; they come by the button."""
    between.answer(r"/emergence$", 500, problem("it fell over"), PROBLEM)
    tab = tiny()
    training = tab.page.locator("#panel-trajectory")
    training.get_by_text("When it generalised is not known").wait_for()
    training.get_by_text("fell over").wait_for()
    between.heal()
    training.get_by_role("button", name="Ask again").click()
    training.get_by_text("emorised").wait_for()
    whole(tab)


def test_neurons_that_fail(tiny: Any, between: Meddler) -> None:
    """They are asked for when they are seen."""
    between.answer(r"/neurons\?", 200, PAGE, HTML)
    tab = tiny()
    neurons = tab.page.locator("#panel-neurons")
    neurons.scroll_into_view_if_needed()
    neurons.get_by_text("no answer of this service").wait_for()
    between.heal()
    neurons.get_by_role("button", name="Ask again").click()
    tab.wait_for("neurons", step=400)


def test_a_question_that_fails(tiny: Any, between: Meddler) -> None:
    """What is asked, cut and looked at one by one says why, and is asked again by its button."""
    faults = {"ask": r"/predictions$", "activations": r"/activations\?", "compare": r"/compare\?"}
    for path in faults.values():
        between.answer(path, 500, problem("it fell over"), PROBLEM)
    tab = tiny("#/runs/tiny?pair=3,5&unit=neurons:3&pin=20")
    for panel in faults:
        tab.page.locator(f"#panel-{panel}").get_by_text("It fell over.").wait_for()
    between.heal()
    for panel in faults:
        tab.page.locator(f"#panel-{panel}").get_by_role("button", name="Ask again").click()
        wait_until(tab.page, "panel => grokprobe.drawn[panel]", panel)


def test_interventions_that_fail(tiny: Any, between: Meddler) -> None:
    """Computing is by a button already."""
    between.answer(r"/interventions$", 500, problem("it fell over"), PROBLEM)
    tab = tiny("#/runs/tiny?cut=remove:logits:2")
    panel = tab.page.locator("#panel-interventions")
    panel.get_by_role("button", name="Compute").click()
    panel.get_by_text("fell over").wait_for()
    between.heal()
    panel.get_by_role("button", name=re.compile("Ask again|Compute")).first.click()
    wait_until(tab.page, "() => grokprobe.drawn.interventions")
    assert not panel.get_by_text("fell over").count()
