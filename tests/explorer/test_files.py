"""Files, links and runs beside each other: what is taken from the page is what the API gives."""

import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page

from tests.support.browsing import copied, new_tab, wait_until
from tests.support.proxy import proxy
from tests.support.served import Served, serving
from tests.support.trained import TINY_STEPS, Trained

HAS = "([panel, name, value]) => window.grokprobe.drawn[panel]?.[name] === value"
PANELS = ("trajectory", "circle", "spectrum", "grid", "spectra", "neurons", "figures")
ROOT = "/some/prefix"
KINDS: dict[str, Callable[[bytes], object]] = {  # raises or is false for what is not of its kind
    "json": json.loads,
    "csv": lambda data: data.decode().count("\n") > 1,
    "arrow": lambda data: pa.ipc.open_stream(io.BytesIO(data)).read_all().num_rows,
    "svg": lambda data: data.startswith(b"<svg"),
    "png": lambda data: data.startswith(b"\x89PNG"),
    "pdf": lambda data: data.startswith(b"%PDF"),
    "vega-lite": lambda data: "vega-lite" in json.loads(data)["$schema"],
}


@pytest.fixture(scope="module")
def page(
    browser: Browser, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """The page of the run `tiny`."""
    with new_tab(browser, served.url, tmp_path_factory.mktemp("files")) as tab:
        tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.expect("Failed to load resource")
        tab.open("#/runs/tiny")
        wait_until(tab.page, HAS, ["grid", "step", TINY_STEPS[-1]])
        yield tab.page


@pytest.mark.parametrize("panel", PANELS)
def test_every_file_is_the_api_s(page: Page, panel: str) -> None:
    """Byte for byte what the address in the snippet gives in that format, and of its kind."""
    menu = page.locator(f"#menu-{panel}")
    menu.locator("summary").click()
    command = copied(page, panel, "as curl")
    [url] = re.findall(r"'(http[^']*)'", command)
    buttons = menu.get_by_role("button").all_inner_texts()
    offered = [name for name in buttons if name in KINDS]
    assert "json" in offered
    if panel != "figures":
        assert set(offered) == set(KINDS)
    for name in offered:
        form = {} if name == "json" else {"format": name}
        look = {"theme": "light"} if name in ("svg", "png", "pdf", "vega-lite") else {}
        wanted = httpx.get(httpx.URL(url).copy_merge_params(form | look), timeout=None)
        button = menu.get_by_role("button", name=name, exact=True)
        if wanted.status_code == 406:  # pictures are not on offer here, which is told
            button.click()
            menu.get_by_text(f"There is no {name} of it here.").wait_for()
            continue
        with page.expect_download() as found:
            button.click()
        data = Path(found.value.path()).read_bytes()
        assert KINDS[name](data), name
        if name != "pdf":  # which holds the moment at which it was made
            assert data == wanted.content, name
    menu.locator("summary").press("Escape")


def test_under_a_prefix(browser: Browser, trained: Trained, tmp_path: Path) -> None:
    """Behind a proxy that takes the path away: data, files, snippets and links have it."""
    changes = {"GROKPROBE_ROOT_PATH": ROOT}
    with (
        serving(trained.settings, tmp_path, **changes) as served,
        proxy(served.url, ROOT) as outside,
        new_tab(browser, f"{outside}{ROOT}", tmp_path) as tab,
    ):
        tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.expect("Failed to load resource: the server responded with a status of 406")
        tab.open()
        tab.page.locator("a[href*='runs/tiny']").first.click()
        wait_until(tab.page, HAS, ["circle", "step", TINY_STEPS[-1]])
        menu = tab.page.locator("#menu-circle")
        menu.locator("summary").click()
        for what in ("as curl", "link to the picture", "link to this view"):
            assert f"{outside}{ROOT}/" in copied(tab.page, "circle", what)
        command = copied(tab.page, "circle", "as curl")
        answer = subprocess.run(["bash", "-c", command], capture_output=True, check=True).stdout
        assert json.loads(answer)["run"] == "tiny"
        with tab.page.expect_download() as found:
            menu.get_by_role("button", name="csv", exact=True).click()
        assert KINDS["csv"](Path(found.value.path()).read_bytes())
        tab.page.reload()
        wait_until(tab.page, HAS, ["circle", "step", TINY_STEPS[-1]])
        tab.page.get_by_role("link", name="grokprobe").click()
        tab.page.get_by_role("heading", name="Runs").wait_for()
        assert all(f"{outside}{ROOT}/" in one.url for one in tab.requests)
