"""A tab of a browser at the explorer: what it draws, and whatever goes wrong in it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request

from tests.support.served import PATIENCE_S

SCREENSHOTS = os.environ.get("GROKPROBE_SCREENSHOTS")  # where they are kept; else with the test

# Arrays as lists, what is no number as null.
DRAWN = """panel => JSON.parse(JSON.stringify(
  grokprobe.drawn[panel] ?? null,
  (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value))"""
HOLDS = """([panel, wanted]) => {
  const drawn = globalThis.grokprobe?.drawn[panel];
  return !!drawn && Object.entries(wanted).every(
    ([name, value]) => JSON.stringify(drawn[name] ?? null) === JSON.stringify(value));
}"""
SETTLED = """quiet => {
  quiet.frames = globalThis.grokprobe?.asking ? 0 : quiet.frames + 1;
  return quiet.frames > 3;
}"""
REPORT = """addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  violated(`${violatedDirective} forbids ${blockedURI}`));"""


class Tab:
    """One page of a browser, and what it did wrong: nothing, unless a test expects it."""

    def __init__(self, page: Page, root: str, folder: Path) -> None:
        self.page, self.root = page, root
        self.requests: list[Request] = []
        self._wrong: list[str] = []
        self._expected: list[str] = []
        self._folder = folder
        page.set_default_timeout(1000 * PATIENCE_S)
        page.on("console", lambda said: self._note(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self._note(f"uncaught: {error}"))
        page.on("request", self._ask)

    def _ask(self, request: Request) -> None:
        self.requests.append(request)
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.netloc != urlsplit(self.root).netloc:
            self._note(f"another host was asked: {request.url}")

    def _note(self, wrong: str) -> None:
        self._wrong.append(wrong)

    def violated(self, what: str) -> None:
        """The page did what its policy forbids."""
        self._note(f"the policy was violated: {what}")

    def expect(self, *wrong: str) -> None:
        """Errors on the console that belong to the test, as patterns."""
        self._expected += wrong

    @property
    def wrong(self) -> list[str]:
        """What went wrong and was not expected."""
        return [w for w in self._wrong if not any(re.search(e, w) for e in self._expected)]

    def open(self, address: str = "") -> None:
        """Go to an address of the page, such as `#/runs/tiny?step=3`."""
        self.page.goto(f"{self.root}/{address}")

    def drawn(self, panel: str) -> dict[str, Any]:
        """The numbers that a panel draws once the page waits for nothing."""
        found: dict[str, Any] = drawn(self.page, panel)
        return found

    def wait_for(self, panel: str, **numbers: Any) -> dict[str, Any]:
        """The numbers of a panel once some of them are these, and the page waits for nothing."""
        self.comes(panel, **numbers)
        return self.drawn(panel)

    def comes(self, panel: str, **numbers: Any) -> None:
        """Wait until some numbers of a panel are these, whatever else the page waits for."""
        self.page.wait_for_function(HOLDS, arg=[panel, numbers])

    def says(self, panel: str) -> str:
        """The words of a panel."""
        return self.page.locator(f"#panel-{panel}").inner_text()

    def photograph(self, name: str) -> Path:
        """A picture of the whole page, in the folder of pictures."""
        path = Path(SCREENSHOTS or self._folder) / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path

    def violations(self) -> list[str]:
        """What axe-core finds: the rule, and the elements."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']} ({one['help']}): {[n['html'][:200] for n in one['nodes']]}"
            for one in found
        ]


@contextmanager
def new_tab(browser: Browser, root: str, folder: Path, **options: Any) -> Iterator[Tab]:
    """A tab in a session of its own, at a service; fails where something went wrong in it."""
    context: BrowserContext = browser.new_context(**options)
    try:
        tab = Tab(context.new_page(), root.rstrip("/"), folder)
        tab.page.expose_function("violated", tab.violated)
        tab.page.add_init_script(REPORT)
        yield tab
        assert tab.wrong == []
    finally:
        context.close()


def drawn(page: Page, panel: str) -> Any:
    """What a panel draws once the page waits for nothing, typed arrays as lists; None if it is not
    there.
    """
    page.wait_for_function(SETTLED, arg={"frames": 0})
    return page.evaluate(DRAWN, panel)


def copied(page: Page, panel: str, what: str) -> str:
    """What a panel's menu copies, once it is open."""
    menu = page.locator(f"#menu-{panel}")
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    menu.get_by_role("button", name=what, exact=True).click()
    menu.get_by_text("Copied.").wait_for()
    return str(page.evaluate("() => navigator.clipboard.readText()"))


def wait_until(page: Page, holds: str, argument: Any = None) -> None:
    """Wait until a condition of the page, in its language, holds."""
    page.wait_for_function(holds, arg=argument)
