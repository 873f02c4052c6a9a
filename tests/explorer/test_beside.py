"""Now beside before, what is highlighted, asked and switched off: drawn as the API has it."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browsing import drawn, new_tab
from tests.support.served import Quickstart, Served, eventually


@pytest.fixture(scope="module")
def pages(
    browser: Browser, quickstart: Quickstart, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A page that complains of nothing."""
    size, folder = {"width": 1280, "height": 900}, tmp_path_factory.mktemp("pages")
    with new_tab(browser, quickstart.served.url, folder, viewport=size) as tab:
        tab.expect("503")  # the browser tells of every one itself, and the page asks again
        yield tab.page


@pytest.fixture
def served(quickstart: Quickstart) -> Served:
    return quickstart.served


def opened(page: Page, served: Served, query: str) -> None:
    """The run's page with these parameters, anew, once it is drawn."""
    page.goto("about:blank")
    page.goto(f"{served.url}/#/runs/quickstart?{query}")
    assert eventually(lambda: page.evaluate("!!window.grokprobe?.drawn.grid"))


def comes(page: Page, panel: str, **facts: object) -> dict[str, Any]:
    """What a panel draws once it has these facts."""

    def there() -> bool:
        found = drawn(page, panel)
        return found is not None and all(
            name in found and found[name] == value for name, value in facts.items()
        )

    assert eventually(there), drawn(page, panel)
    found: dict[str, Any] = drawn(page, panel)
    return found


def test_a_step_is_pinned_by_key_and_compared(pages: Page, served: Served) -> None:
    opened(pages, served, "step=1000")
    assert drawn(pages, "grid-pinned") is None
    pages.keyboard.press("p")
    comes(pages, "grid-pinned", step=1000)
    pages.keyboard.press("End")
    comes(pages, "grid", step=3000)
    answer = served.client.get("/v1/compare?a=quickstart/1000&b=quickstart/3000").json()
    found = comes(pages, "compare", a=answer["a"], b=answer["b"])
    assert found == answer
    grid = drawn(pages, "grid")
    assert grid["gained"] == answer["changed"]["wrong_to_right"]
    assert grid["lost"] == answer["changed"]["right_to_wrong"]
    assert drawn(pages, "trajectory")["pinned"] == {"run": "quickstart", "step": 1000}
    assert "pin=1000" in pages.evaluate("location.hash") or eventually(
        lambda: "pin=1000" in pages.evaluate("location.hash")
    )
    pages.get_by_role("button", name="Unpin").press("Enter")
    assert eventually(lambda: drawn(pages, "grid-pinned") is None)


def test_scrubbing_asks_once_it_rests(pages: Page, served: Served) -> None:
    asked: list[str] = []
    opened(pages, served, "pin=1000&step=3000")
    comes(pages, "compare")
    pages.on("request", lambda one: asked.append(one.url) if "/compare?" in one.url else None)
    for _ in range(12):
        pages.keyboard.press("ArrowLeft")
    found = comes(pages, "grid")
    step = drawn(pages, "trajectory")["step"]
    assert eventually(lambda: drawn(pages, "compare")["b"]["step"] == step), found
    assert len(asked) < 12


@pytest.mark.parametrize("thing", ["residue:5", "frequency:12", "pair:3,50", "neuron:7"])
def test_one_thing_is_highlighted_everywhere(pages: Page, served: Served, thing: str) -> None:
    opened(pages, served, f"mark={thing}")
    kind, _, name = thing.partition(":")
    numbers = [int(one) for one in name.split(",")]
    if kind == "residue":
        comes(pages, "circle", marked=numbers)
        comes(pages, "grid", residue=5)
    elif kind == "pair":
        comes(pages, "circle", marked=numbers, answer=53)
        comes(pages, "grid", pair=numbers)
    elif kind == "frequency":
        comes(pages, "spectrum", marked=12)
        comes(pages, "spectra", marked=12)
    else:
        pages.locator("#panel-neurons").scroll_into_view_if_needed()
        rows = served.client.get("/v1/runs/quickstart/checkpoints/latest/neurons").json()["neurons"]
        comes(pages, "neurons", neuron=7)
        comes(pages, "spectrum", marked=rows[7]["frequency"])
    pages.keyboard.press("Escape")
    comes(pages, "highlight", words="")


def test_by_keyboard_in_pictures(pages: Page, served: Served) -> None:
    opened(pages, served, "step=2000")
    grid = pages.locator("#panel-grid canvas")
    grid.focus()
    grid.press("ArrowRight")
    grid.press("ArrowRight")
    grid.press("ArrowDown")
    comes(pages, "circle", marked=[1, 1])
    grid.press("Enter")
    said = comes(pages, "ask", a=1, b=1, step=2000)
    body = {"pairs": [[1, 1]], "top": 5, "include": ["attention"]}
    path = "/v1/runs/quickstart/checkpoints/2000/predictions"
    [prediction] = served.client.post(path, json=body).json()["predictions"]
    assert {name: said[name] for name in prediction} == prediction
    spectrum = pages.locator("#panel-spectrum canvas")
    spectrum.focus()
    spectrum.press("ArrowRight")
    comes(pages, "spectra", marked=1)
    assert drawn(pages, "trajectory")["step"] == 2000


def test_a_pair_is_asked_at_every_step(pages: Page, served: Served) -> None:
    opened(pages, served, "step=3000")
    pages.locator("#panel-ask input[name=a]").fill("3")
    pages.locator("#panel-ask input[name=b]").fill("50")
    pages.keyboard.press("Enter")
    found = comes(pages, "answers", pair=[3, 50])
    assert eventually(lambda: len(drawn(pages, "answers")["steps"]) > 1)
    found = drawn(pages, "answers")
    grids = served.client.get("/v1/runs/quickstart/grids").json()["grids"]
    assert found["steps"] == [row["step"] for row in grids]
    assert found["answers"] == [row["values"][3 * 59 + 50] for row in grids]
    assert found["right"] == [row["values"][3 * 59 + 50] == 53 for row in grids]
    pages.locator("#panel-ask input[name=a]").fill("59")
    pages.keyboard.press("Enter")
    assert eventually(lambda: "from 0 to 58" in pages.locator("#panel-ask").inner_text())


def test_frequencies_are_switched_off(pages: Page, served: Served) -> None:
    opened(pages, served, "step=3000")
    keys = served.client.get("/v1/runs/quickstart").json()["key_frequencies"]
    panel = pages.locator("#panel-interventions")
    for key in keys:
        panel.locator("fieldset").first.get_by_label(str(key), exact=True).press("Space")
    panel.get_by_role("button", name="Compute").press("Enter")
    found = comes(pages, "interventions", step=3000, members=keys)
    body = {"of": "logits", "remove": keys, "controls": 100}
    path = "/v1/runs/quickstart/checkpoints/3000/interventions"
    assert found == served.client.post(path, json=body).json()
    assert "p = " in panel.inner_text()


# How many pixels are clearly orange, and clearly blue.
COLOURED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const red = data[i] - data[i + 2];
    if (data[i + 3] > 200 && Math.abs(red) > 60) found[+(red < 0)]++;
  }
  return found;
}"""


def test_one_unit_over_all_pairs(pages: Page, served: Served) -> None:
    opened(pages, served, "step=2000&unit=neurons:5")
    found = comes(pages, "activations", step=2000)
    path = "/v1/runs/quickstart/checkpoints/2000/activations?of=neurons&index=5"
    rows = served.client.get(path, headers={"Accept": "application/json"}).json()["activations"]
    assert found["values"] == pytest.approx([value for row in rows for value in row])
    assert min(found["values"]) >= 0, "a neuron of a ReLU"
    oranges, blues = pages.locator("#panel-activations canvas").evaluate(COLOURED)
    assert oranges > 1000
    assert blues == 0
    assert "orange to " in pages.locator("#panel-activations").inner_text()
