"""`python -m benchmarks.explorer`: a run of 400 checkpoints, p 113, in the explorer, in Chromium.

1. What the page takes in gzip: page, script and style.
2. From the navigation to the first paint, and until the whole run is ready: every picture of the
   window drawn from its series. The first to look at a service that has just started waits until
   its series are computed; who comes later has them kept.
3. Scrubbing: the slider moves by a checkpoint in each animation frame, from the first to the last,
   in a window as people have it and in one that has every picture in sight, the neurons too.
"""

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, ViewportSize

from benchmarks.probing import publish
from benchmarks.servers import how_quiet
from tests.support.chromium import chromium
from tests.support.served import PATIENCE_S, Served, serving

CHECKPOINTS = 400
STARTS, VISITS, SCRUBS = 3, 10, 3
RUN = "mainline"
FILES = ("/", "/static/explorer/explorer.js", "/static/explorer/explorer.css")
WINDOW: ViewportSize = {"width": 1280, "height": 900}
TALL: ViewportSize = {"width": 1280, "height": 4200}
# Which pictures are of every window, and which is asked for when it comes into sight.
DRAWN, IN_SIGHT = ["trajectory", "circle", "spectrum", "spectra", "grid"], ["neurons"]
# Looked at in each frame; what was drawn in one is seen by the next.
READY = """panels => new Promise(resolve => requestAnimationFrame(function look() {
  const [paint] = performance.getEntriesByName('first-contentful-paint');
  const all = globalThis.grokprobe && panels.every(panel => grokprobe.drawn[panel]);
  if (!all || !paint) return requestAnimationFrame(look);
  const shown = () => resolve({ paint_ms: paint.startTime, ready_ms: performance.now() });
  requestAnimationFrame(shown);
}))"""
# The times between frames in milliseconds, and the steps that every one of the panels has drawn.
SCRUB = """panels => new Promise(resolve => {
  const slider = document.querySelector('.slider');
  const times = [], steps = new Set();
  let place = -1, before;
  requestAnimationFrame(function frame(now) {
    if (place >= 0) {
      times.push(now - before);
      const drawn = new Set(panels.map(panel => grokprobe.drawn[panel].step));
      if (drawn.size === 1) steps.add(...drawn);
    }
    if (++place > Number(slider.max)) return resolve({ times, steps: [...steps] });
    before = now;
    slider.value = place;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    requestAnimationFrame(frame);
  });
})"""


def gzip_bytes(client: httpx.Client) -> dict[str, int]:
    """What page, script and style take, as the service sends them in gzip."""
    found = {}
    for path in FILES:
        with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
            found[path] = sum(map(len, answer.iter_raw()))
    return found


@contextmanager
def looking(browser: Browser, size: ViewportSize) -> Iterator[Page]:
    """A page of a window of its own, which has nothing kept."""
    context = browser.new_context(viewport=size)
    try:
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        yield page
    finally:
        context.close()


def visit(page: Page, root: str, run: str, panels: list[str]) -> dict[str, float]:
    """Open a run: milliseconds until the first paint, and until these panels are ready."""
    page.goto(f"{root}/#/runs/{run}", wait_until="commit")
    found: dict[str, float] = page.evaluate(READY, panels)
    return found


def scrub(page: Page, panels: list[str]) -> dict[str, Any]:
    """Move through all steps of the run that the page has ready, one in a frame.

    `times` between frames, in milliseconds; `steps` that were seen in all of these panels.
    """
    found: dict[str, Any] = page.evaluate(SCRUB, panels)
    return found


def told(times: list[float]) -> str:
    """The median of some times, and the slowest."""
    return f"median {statistics.median(times):6.1f} ms   max {max(times):6.1f} ms"


def tell_scrub(name: str, found: Mapping[str, Any]) -> None:
    """Frames per second, and how long the slowest took."""
    times, drawn = sorted(found["times"]), len(found["steps"])
    rate = 1e3 * len(times) / sum(times)
    middle, late = statistics.median(times), times[round(0.95 * (len(times) - 1))]
    slowest = ", ".join(f"{one:.0f}" for one in times[-3:])
    print(
        f"{name:34} {rate:5.1f} frames/s   median {middle:.1f}, 95 % {late:.1f} ms, "
        f"slowest {slowest} ms   {drawn} steps drawn"
    )


def look(browser: Browser, served: Served) -> dict[str, float]:
    """The visit of somebody who has nothing kept, at a service that knows the run."""
    assert served.client.get(f"/v1/runs/{RUN}").status_code == 200
    with looking(browser, WINDOW) as page:
        return visit(page, served.url, RUN, DRAWN)


def tell_visits(name: str, visits: list[dict[str, float]]) -> None:
    """When it was painted, and when it was ready."""
    for what, of in (("first paint", "paint_ms"), ("whole run ready", "ready_ms")):
        print(f"{name + ': ' + what:44} {told([one[of] for one in visits])}")


def main() -> None:
    """Print sizes, medians and the slowest."""
    print(how_quiet())
    with tempfile.TemporaryDirectory() as folder, chromium("--disable-gpu") as browser:
        home = Path(folder)
        settings = publish(home, CHECKPOINTS)
        firsts = []
        for _ in range(STARTS):
            with serving(settings, home) as served:
                firsts.append(look(browser, served))
        with serving(settings, home) as served:
            sizes = gzip_bytes(served.client)
            each = ", ".join(f"{path} {size:,}" for path, size in sizes.items())
            print(f"page, script and style in gzip: {sum(sizes.values()):,} bytes ({each})")
            visits = [look(browser, served) for _ in range(VISITS + 1)]
            tell_visits("service just started", firsts)
            tell_visits("later", visits[1:])
            for name, size, panels in (
                ("scrubbing, 1280 x 900", WINDOW, DRAWN),
                ("scrubbing, every picture in sight", TALL, DRAWN + IN_SIGHT),
            ):
                with looking(browser, size) as page:
                    visit(page, served.url, RUN, panels)
                    for _ in range(SCRUBS):
                        tell_scrub(name, scrub(page, panels))


if __name__ == "__main__":
    main()
