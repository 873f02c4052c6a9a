"""What is wrong with a picture as a browser shows it: texts that overlap or are cut off."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import CHROMIUM, chromium

# The mean advance of SAMPLE in parts of the font's size, from the fonts' own tables. Letters are
# set in the font, if it is there, or in another that is spaced until it is as wide.
SAMPLE = "the quick brown fox jumps over the lazy dog 0123456789"
FONTS = {"DejaVu Sans": 0.536, "Verdana": 0.541, "Liberation Sans": 0.468}
Faults = Callable[[str], list[str]]

# Boxes of texts are those of whole lines: ink is less high, and may lie in another's line height.
SCRIPT = """
([family, advance, sample]) => {
  const svg = document.querySelector("svg");
  const style = document.createElement("style");
  const spaced = em => {
    style.textContent = `text, tspan {
      font-family: "${family}", "DejaVu Sans", sans-serif !important;
      letter-spacing: ${em}em !important; }`;
  };
  svg.append(style);
  spaced(0);
  const probe = document.createElementNS("http://www.w3.org/2000/svg", "text");
  probe.setAttribute("font-size", "100");
  probe.textContent = sample;
  svg.append(probe);
  const own = probe.getComputedTextLength() / 100 / sample.length;
  probe.remove();
  spaced(advance - own);
  const box = (node, kind) => {
    const { left, top, right, bottom } = node.getBoundingClientRect();
    return { kind, name: node.textContent, left, top, right, bottom };
  };
  const shown = node => {
    for (let n = node; n && n !== svg; n = n.parentNode) {
      const { opacity, display } = getComputedStyle(n);
      if (opacity === "0" || display === "none") return false;
    }
    return true;
  };
  const lines = [...svg.querySelectorAll("text")].flatMap(text => {
    const spans = [...text.querySelectorAll("tspan")];
    return spans.length ? spans : [text];
  });
  const legends = ["symbol path", "gradient rect", "gradient path"]
    .map(part => `.role-legend-${part}`).join();
  return {
    view: box(svg, "view"),
    texts: lines.filter(node => node.textContent.trim() && shown(node)).map(n => box(n, "text")),
    symbols: [...svg.querySelectorAll(legends)].filter(shown).map(n => box(n, "symbol")),
  };
}
"""
INK = 0.2  # of a line's height that holds no ink, above and below
TOUCH = 0.5  # pixels by which boxes may meet


def _ink(box: dict[str, Any]) -> tuple[float, float, float, float]:
    across, down = box["right"] - box["left"], box["bottom"] - box["top"]
    edge = INK * min(across, down) if box["kind"] == "text" else 0.0
    turned = down > across
    x, y = (edge, 0.0) if turned and len(box["name"]) > 2 else (0.0, edge)
    return box["left"] + x, box["top"] + y, box["right"] - x, box["bottom"] - y


def _meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = _ink(one), _ink(other)
    return all(min(a[i + 2], b[i + 2]) - max(a[i], b[i]) > TOUCH for i in (0, 1))


def _within(box: dict[str, Any], view: dict[str, Any]) -> bool:
    starts = all(box[side] >= view[side] - TOUCH for side in ("left", "top"))
    return starts and all(box[side] <= view[side] + TOUCH for side in ("right", "bottom"))


def _judge(font: str, seen: dict[str, Any]) -> list[str]:
    texts, symbols = seen["texts"], seen["symbols"]
    found = [
        f"{font}: {box['kind']} {box['name']!r} is cut off"
        for box in texts + symbols
        if not _within(box, seen["view"])
    ]
    for number, text in enumerate(texts):
        for other in texts[number + 1 :] + symbols:
            if _meet(text, other):
                found.append(f"{font}: {text['name']!r} meets {other['kind']} {other['name']!r}")
    return found if texts else [f"{font}: no text at all"]


@contextmanager
def looking() -> Iterator[Faults]:
    """A function from an SVG's text to its faults: a line for each, by font.

    Every text and every mark of a legend must lie within the picture, and no text on another or on
    a mark of a legend, in fonts as wide as those of Linux, macOS and Windows. Skips the test where
    there is no Chromium.
    """
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    stack = ExitStack()

    def look(browser: Browser, svg: str) -> list[str]:
        page = browser.new_page()
        try:
            found = []
            for font, advance in FONTS.items():
                page.set_content(f"<!doctype html><body style='margin:0'>{svg}</body>")
                seen = page.evaluate(SCRIPT, [font, advance, SAMPLE])
                found += _judge(font, seen)
            return found
        finally:
            page.close()

    with ThreadPoolExecutor(1) as thread:  # of its own: it brings an event loop
        browser = thread.submit(stack.enter_context, chromium()).result()
        try:
            yield lambda svg: thread.submit(look, browser, svg).result()
        finally:
            thread.submit(stack.close).result()
