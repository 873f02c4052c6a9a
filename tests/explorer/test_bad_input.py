"""Addresses that name nothing, and runs that lack something: the page says so in words."""

import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.explorer.conftest import Tabs
from tests.support.browsing import Tab
from tests.support.foreign import save, small
from tests.support.served import Served, serving
from tests.support.trained import TINY, Trained, settings_at, tiny_config
from trainer.__main__ import main
from trainer.config.schema import decode_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

NO_WORDS = re.compile(r"\b(NaN|undefined|null|Infinity)\b|\[object")
SHORT = {"steps": 20, "device": "cpu", "threads": 1}
MLP = {"family": "mlp", "d_mlp": 16}
RUNS = {  # beside the imported one
    "s5": tiny_config(task={"operation": "s5", "modulus": 120}, training={"steps": 2}),
    "mlp": decode_config({**TINY, "model": MLP, "training": SHORT}, "mlp"),
    "never": tiny_config(training={"steps": 20}),
}


@pytest.fixture(scope="module", autouse=True)
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over runs that each lack something; made before there is a browser."""
    folder = tmp_path_factory.mktemp("odd")
    settings = settings_at(folder)
    for run, config in RUNS.items():
        assert start(settings, config, run, JsonReporter()) == 0
    layout = ["--layout", "transformer_lens", "--run", "imported", "--step", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GROKPROBE_SCREENSHOTS", raising=False)  # is not a setting
        patch.setenv("GROKPROBE_HOME", str(folder))
        assert main(["import", str(save(small(), folder / "m.npz")), *layout]) == 0
    with serving(settings, folder, GROKPROBE_PICTURES="false") as served:
        yield served


def opened(tabs: Tabs, served: Served, address: str) -> Tab:
    """The page, whose browser may tell of answers such as 404 itself."""
    tab = tabs(served.url, address, viewport={"width": 1280, "height": 900})
    tab.expect("Failed to load resource")
    return tab


@pytest.mark.parametrize("name", ["unknown", "%zz", "a%2Fb", "%3Cscript%3E", "x" * 300])
def test_no_such_run(tabs: Tabs, odd: Served, name: str) -> None:
    """It says so, and leads to the list."""
    tab = opened(tabs, odd, f"#/runs/{name}")
    tab.page.locator("main p.words").wait_for()
    tab.page.get_by_role("link", name="All runs").click()
    tab.page.get_by_role("link", name="never").wait_for()


@pytest.mark.parametrize(
    "query",
    [
        "step=17",
        "step=words&frequency=words&pair=words&pin=words&mark=words&unit=words&cut=words",
        "step=-5&time=words&tour=99&theme=words&other=1&&&=",
        "step=1e999&pair=999,999&mark=pair:999,999",
        "%zz=%zz&step=%zz",
        "mark=neuron:99999&unit=neurons:99999&frequency=999",
        "pin=nobody/20",
    ],
)
def test_a_link_that_names_nothing(tabs: Tabs, odd: Served, query: str) -> None:
    """What it names rightly is shown, and the rest as if it were not there."""
    tab = opened(tabs, odd, f"#/runs/never?{query}")
    for panel in ("trajectory", "spectrum", "grid"):
        tab.page.wait_for_function("panel => grokprobe.drawn[panel]", arg=panel)
    assert not NO_WORDS.search(tab.page.locator("main").inner_text())


LACKS = {
    "imported": ["1 checkpoint", "is not known, so neither is when it generalised"],
    "never": ["it never generalised to the others"],
    "s5": ["no frequencies"],
    "mlp": ["This network has no attention."],
}


@pytest.mark.parametrize("run", LACKS)
def test_what_a_run_lacks(tabs: Tabs, odd: Served, run: str) -> None:
    """Panels say it; what it has is drawn."""
    tab = opened(tabs, odd, f"#/runs/{run}?pair=1,2")
    for panel in ("trajectory", "grid", "ask"):
        tab.page.wait_for_function("panel => grokprobe.drawn[panel]", arg=panel)
    for words in LACKS[run]:
        tab.page.get_by_text(words).first.wait_for()
    assert not NO_WORDS.search(tab.page.locator("main").inner_text())
    tab.photograph(f"lacking-{run}")


def test_pictures_that_are_not_on_offer(tabs: Tabs, odd: Served) -> None:
    """A download says why there is none."""
    tab = opened(tabs, odd, "#/runs/never")
    menu = tab.page.locator("#menu-trajectory")
    menu.locator("summary").click()
    menu.get_by_role("button", name="svg", exact=True).click()
    menu.get_by_text("There is no svg of it here.").wait_for()


def test_a_key_that_becomes_wrong(tabs: Tabs, trained: Trained, tmp_path: Path) -> None:
    """It is asked for again, in words, and everything comes with the new one."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann {hashlib.sha256(b'a-key').hexdigest()}\n")
    with serving(trained.settings, tmp_path, GROKPROBE_API_KEYS_FILE=str(keys)) as served:
        tab = opened(tabs, served, "#/runs/tiny")
        for key in ("wrong", "a-key"):
            tab.page.get_by_label("API key").fill(key)
            tab.page.get_by_role("button", name="Go on").click()
        tab.wait_for("grid", step=400)
        tab.page.evaluate("() => sessionStorage.setItem('grokprobe.key', 'old')")
        tab.page.reload()
        tab.page.get_by_label("API key").fill("a-key")
        tab.page.get_by_role("button", name="Go on").click()
        tab.wait_for("grid", step=400)


WRITTEN = """globalThis.written = [];
const { fillText } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
  written.push(text);
  return fillText.call(this, text, ...more);
};"""


def test_a_few_steps_are_told_once_each(tabs: Tabs, odd: Served) -> None:
    """Between the steps 0, 1 and 2 an axis of time has no other."""
    tab = opened(tabs, odd, "#/runs/s5")
    tab.page.add_init_script(WRITTEN)
    tab.page.reload()
    tab.wait_for("trajectory", step=2)
    written = [text for text in tab.page.evaluate("written") if text]
    assert {"0", "1", "2"} <= set(written)
    pairs = pairwise(written)
    assert not [text for text, following in pairs if text == following and text in "012"]
