"""A browser, and tabs in it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browsing import Tab, new_tab
from tests.support.chromium import CHROMIUM, chromium
from tests.support.served import PATIENCE_S
from tests.support.trained import Trained

Tabs = Callable[..., Tab]
expect.set_options(timeout=1000 * PATIENCE_S)


# One for each file, not for all: where Playwright is, its thread cannot have asyncio.run. So what
# trains stands before it, and whoever publishes meanwhile does it in another thread.
@pytest.fixture(scope="module")
def browser(trained: Trained) -> Iterator[Browser]:
    """Debian's Chromium."""
    assert trained
    if CHROMIUM is None:
        pytest.skip("this machine has no chromium")
    with chromium() as found:
        yield found


@pytest.fixture
def tabs(browser: Browser, tmp_path: Path) -> Iterator[Tabs]:
    """Opens tabs at a service, each in a session of its own; fails if one did something wrong."""
    with ExitStack() as stack:

        def open_tab(root: str, address: str = "", **options: Any) -> Tab:
            tab = stack.enter_context(new_tab(browser, root, tmp_path, **options))
            tab.open(address)
            return tab

        yield open_tab


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a page in a session of its own, at an address; options as of a context.

    At the end no page has complained of anything but connections, or asked another host.
    """
    with ExitStack() as stack:

        def opened(url: str, **options: Any) -> Any:
            wanted = {"viewport": {"width": 1280, "height": 900}, **options}
            tab = stack.enter_context(new_tab(browser, url, tmp_path, **wanted))
            tab.expect("Failed to load resource")
            tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            tab.page.goto(url)
            return tab.page

        yield opened
