"""Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.served import PATIENCE_S

CHROMIUM = shutil.which("chromium")
# Nothing of its own goes to the network.
ARGUMENTS = [
    *("--no-sandbox", "--no-first-run", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
# WebGL by the processor, which then puts every page together in this way, five times as slowly.
WEBGL = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="this machine has no chromium")


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """A browser without a window; with more arguments."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *more], timeout=1000 * PATIENCE_S
        )
        try:
            yield browser
        finally:
            browser.close()
