"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.served import PATIENCE_S

CHROMIUM = shutil.which("chromium")
# Nothing of its own goes to the network; WebGL is drawn by the processor.
ARGUMENTS = [
    *("--no-sandbox", "--no-first-run", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="this machine has no chromium")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGUMENTS, timeout=1000 * PATIENCE_S
        )
        try:
            yield browser
        finally:
            browser.close()
