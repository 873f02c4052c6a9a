"""A run is followed while it trains, and the list of runs too."""

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from grokprobe.store.backends import open_backends
from tests.support.browsing import drawn, wait_until
from tests.support.paced import paced
from tests.support.served import Served, serving
from tests.support.trained import settings_at

OpenPage = Callable[..., Any]
HAS = "([panel, step]) => window.grokprobe.drawn[panel]?.step === step"
SERIES = ("trajectory", "spectra", "coordinates", "grids", "neurons")


def series_asked(page: Any) -> list[tuple[str, str | None]]:
    """The series that are asked for from now on, and from which step."""
    asked: list[tuple[str, str | None]] = []

    def note(request: Any) -> None:
        url = urlsplit(request.url)
        name = url.path.rpartition("/")[2]
        query = parse_qs(url.query)
        if name in SERIES and query.get("measures") != ["key_share"]:  # changes with the keys
            asked.append((name, query.get("from_step", [None])[0]))

    page.on("request", note)
    return asked


def at(page: Any, step: int, *panels: str) -> None:
    """Wait until these panels draw a step."""
    for panel in panels or ("trajectory", "circle", "spectrum", "grid", "spectra"):
        wait_until(page, HAS, [panel, step])


def compare(page: Any, served: Served, run: str) -> None:
    """What is drawn is what the service says of the whole run."""
    rows = served.client.get(f"/v1/runs/{run}/trajectory?measures=test_loss,key_share").json()
    shown = drawn(page, "trajectory")
    rows = rows["trajectory"]
    assert shown["steps"] == [row["step"] for row in rows]
    assert shown["test_loss"] == [row["test_loss"] for row in rows]
    assert shown["key_share"] == [row["key_share"] for row in rows]
    spectra = served.client.get(f"/v1/runs/{run}/spectra").json()["spectra"]
    assert drawn(page, "spectra")["shares"] == [v for row in spectra for v in row["values"]]


def test_the_page_follows_a_run(open_page: OpenPage, tmp_path: Path) -> None:
    """Each checkpoint is appended, and only what is new is asked for; the step follows the latest
    until the person moves it, and again when told to; at the end all is asked anew.
    """
    settings = settings_at(tmp_path)
    with serving(settings, tmp_path) as served, paced(settings, "slow") as trainer:
        page = open_page(served.url)
        trainer.go(1)
        page.get_by_role("link", name="slow").click()  # the list has found it by itself
        at(page, 20)
        page.get_by_role("button", name="live", exact=True).wait_for()
        page.locator("#panel-neurons").scroll_into_view_if_needed()
        at(page, 20, "neurons")
        asked = series_asked(page)
        for step in (40, 60):
            trainer.go()
            at(page, step)
            at(page, step, "neurons")
            compare(page, served, "slow")
        whole = {name for name, since in asked if since is None}
        assert whole <= {"coordinates"}, "only where another frequency is the strongest now"
        assert {name for name, since in asked if since} >= set(SERIES)
        page.keyboard.press("ArrowLeft")
        at(page, 40)
        trainer.go()
        wait_until(page, "() => window.grokprobe.drawn.trajectory.steps.at(-1) === 80")
        at(page, 40)
        page.get_by_role("button", name="follow live").click()
        at(page, 80)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowRight")  # at the latest it follows again
        trainer.go()
        at(page, 100)
        wait_until(page, "() => !location.hash.includes('step=')")  # it is written a little later
        asked.clear()
        trainer.finish()
        page.get_by_role("button", name="live", exact=True).wait_for(state="detached")
        at(page, 400)
        assert {name for name, since in asked if since is None} >= set(SERIES)
        compare(page, served, "slow")
        assert drawn(page, "trajectory")["restricted_loss"][-1] is not None


def test_a_service_that_comes_back_is_found_again(open_page: OpenPage, tmp_path: Path) -> None:
    """While it is away the page says so; then it shows what was published in between."""
    settings = settings_at(tmp_path)
    with paced(settings, "slow") as trainer:
        with serving(settings, tmp_path) as served:
            trainer.go(1)
            port = served.client.base_url.port
            page = open_page(f"{served.url}/#/runs/slow")
            at(page, 20)
            page.get_by_role("button", name="live", exact=True).wait_for()
        page.get_by_text("has gone away").or_(page.get_by_text("does not answer")).wait_for()
        trainer.go()
        with serving(settings, tmp_path, GROKPROBE_PORT=str(port)) as served:
            at(page, 40)
            page.get_by_text("does not answer").wait_for(state="detached")
            trainer.go()
            at(page, 60)
            compare(page, served, "slow")


def test_the_list_is_live(open_page: OpenPage, tmp_path: Path) -> None:
    """New runs, their status and sparklines; what is unchanged is answered with 304."""
    settings = settings_at(tmp_path)
    with serving(settings, tmp_path) as served:
        page = open_page(served.url)
        page.get_by_text("No run is published yet").wait_for()
        answers: list[int] = []
        events = page.context.new_cdp_session(page)
        events.send("Network.enable")
        told = "Network.responseReceivedExtraInfo"
        events.on(told, lambda answer: answers.append(answer["statusCode"]))
        with paced(settings, "slow") as trainer:
            trainer.go(1)
            row = page.get_by_role("link", name="slow")
            row.get_by_text("running").wait_for()
            trainer.go(2)
            row.get_by_text("60 steps").wait_for()
            drawn_line = "() => document.querySelector('.sparkline path:last-child')"
            wait_until(page, f"{drawn_line}.getAttribute('d').split('L').length > 3")
            trainer.finish()
        row.get_by_text("complete").wait_for()
        answers.clear()
        page.wait_for_event("response", lambda answer: "/v1/runs?" in answer.url)
        page.wait_for_event("response", lambda answer: "/v1/runs?" in answer.url)
        assert set(answers) == {304}


def test_a_run_that_is_deleted_is_gone(open_page: OpenPage, tmp_path: Path) -> None:
    """The page says so, and leads back to the list."""
    settings = settings_at(tmp_path)
    with serving(settings, tmp_path) as served, paced(settings, "slow") as trainer:
        trainer.go(1)
        page = open_page(f"{served.url}/#/runs/slow")
        at(page, 20)
        trainer.process.send_signal(signal.SIGKILL)
        trainer.process.wait()
        delete(tmp_path, "slow")
        page.get_by_role("link", name="All runs").click()
        page.get_by_text("No run is published yet").wait_for()


def delete(folder: Path, run: str) -> None:
    """Delete a run, as the command does; in a thread, for the browser has this one's loop."""

    async def work() -> None:
        async with open_backends(settings_at(folder)) as backends:
            await backends.publisher.mark_deleted(run)
            await backends.catalogue.remove_run(run)

    with ThreadPoolExecutor() as threads:
        threads.submit(lambda: asyncio.run(work())).result()
