"""The process that draws: started late, bounded, replaced when it dies, gone with its service."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from grokprobe.settings import Settings
from service.errors import Overloaded, PictureLost, PictureTooLarge, Stopping
from service.rendering import renderer as rendering
from service.rendering.program import NICE
from service.rendering.renderer import Renderer, Work
from service.telemetry.metrics import Metrics
from tests.service.test_api import LAST, RUN
from tests.service.test_caching import in_process
from tests.support.drawn import is_alive, renderer, renderers
from tests.support.served import PATIENCE_S, Served, eventually, serving
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run
from tests.support.trained import Trained

SPECTRUM = f"{LAST}/spectrum"
WAITING = "grokprobe_pictures_waiting"
BARS: dict[str, Any] = {
    "data": {"values": [{"a": 1, "b": 2}, {"a": 2, "b": 1}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a", "type": "ordinal"}, "y": {"field": "b"}},
}


@pytest.fixture(scope="module")
def drawing(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service of its own over the run `tiny`: its renderers are killed."""
    with serving(trained.settings, tmp_path_factory.mktemp("drawing")) as found:
        yield found


def picture(served: Served, number: int, **more: str) -> httpx.Response:
    """The answer to a question that no other test asks: another null is another picture."""
    query = {"null": "20", "seed": str(number), "format": "svg", **more}
    return served.client.get(SPECTRUM, params=query)


def counted(served: Served, name: str, **labels: str) -> float:
    """A figure of the service's metrics; 0 where it has none."""
    wanted = ",".join(f'{label}="{value}"' for label, value in labels.items())
    whole = f"{name}{{{wanted}}}" if wanted else name
    lines = (line.rpartition(" ") for line in served.client.get("/metrics").text.splitlines())
    return next((float(value) for known, _, value in lines if known == whole), 0.0)


def test_it_starts_at_the_first_picture(drawing: Served) -> None:
    """Not with the service, not for JSON or a specification; then one for all pictures.

    It runs below the service's priority, and finds none of its environment.
    """
    for chosen in ("json", "vega-lite"):
        assert drawing.client.get(SPECTRUM, params={"format": chosen}).status_code == 200
    assert renderers(drawing.process.pid) == []
    assert picture(drawing, 1).status_code == 200
    started = renderer(drawing)
    assert picture(drawing, 2).status_code == 200
    assert renderer(drawing) == started
    above = os.getpriority(os.PRIO_PROCESS, drawing.process.pid)
    assert os.getpriority(os.PRIO_PROCESS, started) == min(19, above + NICE)
    assert Path(f"/proc/{started}/environ").read_bytes() == b""


def test_one_that_dies_costs_a_picture(drawing: Served) -> None:
    """503 with Retry-After for whoever waits for it; the next is drawn by another."""
    assert picture(drawing, 10).status_code == 200
    first = renderer(drawing)
    before = counted(drawing, "grokprobe_renderer_restarts_total", reason="died")
    os.kill(first, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(picture, drawing, 11)
        assert eventually(lambda: counted(drawing, WAITING) == 1)
        os.kill(first, signal.SIGKILL)
        lost = waiting.result(PATIENCE_S)
    assert (lost.status_code, lost.json()["type"]) == (503, "urn:grokprobe:picture-lost")
    assert int(lost.headers["retry-after"]) >= 1
    assert lost.headers["cache-control"] == "no-store"
    assert picture(drawing, 11).status_code == 200
    assert renderer(drawing) != first
    assert counted(drawing, "grokprobe_renderer_restarts_total", reason="died") == before + 1
    assert drawing.client.get("/readyz").status_code == 200


def test_one_that_died_unseen_is_replaced(drawing: Served) -> None:
    """While nobody waits for it, at most one picture is lost."""
    assert picture(drawing, 20).status_code == 200
    first = renderer(drawing)
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not is_alive(first))
    answers = [picture(drawing, 21).status_code for _ in range(2)]
    assert answers[0] in (200, 503)
    assert answers[1] == 200


def test_kept_pictures_need_no_renderer(drawing: Served) -> None:
    """What was drawn is answered with the same bytes while there is none, and starts none."""
    found = [picture(drawing, 30, format=chosen) for chosen in ("svg", "png", "pdf")]
    process = renderer(drawing)
    os.kill(process, signal.SIGKILL)
    assert eventually(lambda: not is_alive(process))
    again = [picture(drawing, 30, format=chosen) for chosen in ("svg", "png", "pdf")]
    assert [a.content for a in again] == [f.content for f in found]
    assert [a.headers["etag"] for a in again] == [f.headers["etag"] for f in found]
    assert renderers(drawing.process.pid) == []


def test_those_who_ask_for_the_same_share_a_picture(drawing: Served) -> None:
    """Ten at once are one drawing."""
    assert picture(drawing, 40).status_code == 200
    before = counted(drawing, "grokprobe_picture_seconds_count")
    os.kill(renderer(drawing), signal.SIGSTOP)
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(picture, drawing, 41) for _ in range(10)]
        assert eventually(lambda: counted(drawing, WAITING) == 1)
        os.kill(renderer(drawing), signal.SIGCONT)
        answers = [one.result(PATIENCE_S) for one in waiting]
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
    assert counted(drawing, "grokprobe_picture_seconds_count") == before + 1


def test_as_many_wait_as_may(drawing: Served) -> None:
    """One more than the queue holds is 429 with Retry-After; the others are all drawn."""
    assert picture(drawing, 100).status_code == 200
    process = renderer(drawing)
    os.kill(process, signal.SIGSTOP)
    with ThreadPoolExecutor(rendering.MOST_WAITING + 1) as pool:
        waiting = [
            pool.submit(picture, drawing, 101 + n) for n in range(rendering.MOST_WAITING + 1)
        ]
        assert eventually(lambda: any(one.done() for one in waiting))
        os.kill(process, signal.SIGCONT)
        answers = [one.result(PATIENCE_S) for one in waiting]
    refused = [a for a in answers if a.status_code != 200]
    assert [a.status_code for a in refused] == [429]
    assert int(refused[0].headers["retry-after"]) >= 1
    assert counted(drawing, "grokprobe_refusals_total", reason="pictures") >= 1


def test_it_is_gone_with_its_service(trained: Trained, tmp_path: Path) -> None:
    """Also when the service is killed; after a stop nothing is left either."""
    with serving(trained.settings, tmp_path) as served:
        assert picture(served, 1).status_code == 200
        process = renderer(served)
        served.process.kill()
        assert eventually(lambda: not is_alive(process))
    with serving(trained.settings, tmp_path) as served:
        assert picture(served, 1).status_code == 200
        process = renderer(served)
    assert not is_alive(process)


def test_its_memory_is_bounded(trained: Trained, tmp_path: Path) -> None:
    """A picture that takes more is 503 and says which setting that is; the service goes on."""
    with serving(trained.settings, tmp_path, GROKPROBE_RENDERER_MEMORY_BYTES="1048576") as served:
        lost = picture(served, 1)
        assert (lost.status_code, lost.json()["type"]) == (503, "urn:grokprobe:picture-lost")
        assert (
            "more than 1 MiB of memory (GROKPROBE_RENDERER_MEMORY_BYTES)" in lost.json()["detail"]
        )
        assert "retry-after" in lost.headers
        assert counted(served, "grokprobe_renderer_restarts_total", reason="memory") == 1
        assert eventually(lambda: not renderers(served.process.pid))
        assert picture(served, 1, format="vega-lite").status_code == 200


@with_loop
async def test_its_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that takes longer is lost, and its process is ended; the next has another."""
    metrics = Metrics()
    found = Renderer(metrics, 2**30)
    await found.draw(Work(BARS, "svg"))
    first = found.process
    assert first is not None
    with monkeypatch.context() as patch:
        patch.setattr(rendering, "TIME_S", 0.0)
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(PictureLost, match="longer than 0 s"):
            await found.draw(Work(BARS, "svg"))
    assert not is_alive(first)
    assert (await found.draw(Work(BARS, "svg"))).startswith(b"<svg")
    restarts = metrics.registry.get_sample_value
    assert restarts("grokprobe_renderer_restarts_total", {"reason": "time"}) == 1
    await found.aclose()


@with_loop
async def test_whoever_goes_away_leaves_it_in_order() -> None:
    """A picture that is given up does not become the answer to the next."""
    metrics = Metrics()
    found = Renderer(metrics, 2**30)
    await found.draw(Work(BARS, "svg"))
    assert found.process is not None
    os.kill(found.process, signal.SIGSTOP)
    given_up = asyncio.create_task(found.draw(Work(BARS, "png")))
    while not metrics.registry.get_sample_value(WAITING):
        await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert (await found.draw(Work(BARS, "svg"))).startswith(b"<svg")
    await found.aclose()
    with pytest.raises(Stopping):
        await found.draw(Work(BARS, "svg"))


@with_loop
async def test_the_same_picture_has_the_same_bytes() -> None:
    """Whatever the process drew before: gradients and clips are counted anew in each."""
    color = {"field": "b", "type": "quantitative"}
    mark = {"type": "rect", "clip": True}
    heat = {**BARS, "mark": mark, "encoding": {**BARS["encoding"], "color": color}}
    found = Renderer(Metrics(), 2**30)
    for form in ("svg", "png"):
        first, _, again = [await found.draw(Work(s, form)) for s in (heat, BARS, heat)]
        assert again == first
    ids = re.findall(rb'id="(\w+)"', await found.draw(Work(heat, "svg")))
    assert len({re.sub(rb"\d", b"", one) for one in ids}) == len(ids) == 2
    await found.aclose()


@with_loop
async def test_what_cannot_be_drawn_is_said() -> None:
    """A chart that Vega-Lite refuses, data from elsewhere, too many pixels; then it goes on."""
    found = Renderer(Metrics(), 2**30)
    with pytest.raises(RuntimeError, match="does not understand"):
        await found.draw(Work({"mark": "nothing"}, "svg"))
    elsewhere = {**BARS, "data": {"url": "http://127.0.0.1:9/rows.json"}}
    with pytest.raises(RuntimeError, match="not allowed"):
        await found.draw(Work(elsewhere, "svg"))
    with pytest.raises(PictureTooLarge, match="pixels, more than are drawn"):
        await found.draw(Work(BARS, "png", width=2**20))
    assert (await found.draw(Work(BARS, "svg"))).startswith(b"<svg")
    await found.aclose()


@with_loop
async def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more wait than may, and a place that comes free is given again."""
    monkeypatch.setattr(rendering, "MOST_WAITING", 1)
    found = Renderer(Metrics(), 2**30)
    first = asyncio.create_task(found.draw(Work(BARS, "svg")))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="1 pictures are in flight"):
        await found.draw(Work(BARS, "svg"))
    await first
    await found.draw(Work(BARS, "svg"))
    await found.aclose()


def refuses_drawn_pictures(answer: httpx.Response) -> None:
    """406, with all that is on offer."""
    assert answer.status_code == 406
    assert answer.json()["type"] == "urn:grokprobe:format-not-offered"
    assert answer.json()["detail"].endswith("choose json, csv, arrow, parquet, vega-lite")


@pytest.mark.parametrize("chosen", ["svg", "png", "pdf"])
@with_loop
async def test_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    """What it draws is not on offer, the specification is."""
    monkeypatch.setattr(rendering, "PACKAGE", "a_package_that_is_not_here")
    async with in_process(tmp_path) as (client, backends):
        await tiny_run().publish(backends)
        path = f"{RUN}/checkpoints/latest/spectrum"
        refuses_drawn_pictures(await client.get(path, params={"format": chosen}))
        assert (await client.get(path, params={"format": "vega-lite"})).status_code == 200


def test_turned_off(trained: Trained, tmp_path: Path) -> None:
    """The same where a setting says so, by Accept too; what else Accept takes is answered."""
    settings = Settings(home=trained.settings.home, log_format="json", pictures=False)
    with serving(settings, tmp_path) as served:
        for chosen in ("svg", "png", "pdf"):
            refuses_drawn_pictures(served.client.get(SPECTRUM, params={"format": chosen}))
        accept = {"Accept": "image/svg+xml"}
        assert served.client.get(SPECTRUM, headers=accept).status_code == 406
        accept = {"Accept": "image/svg+xml, text/csv;q=0.5"}
        answer = served.client.get(SPECTRUM, headers=accept)
        assert answer.headers["content-type"].startswith("text/csv")
        assert served.client.get(SPECTRUM, params={"format": "vega-lite"}).status_code == 200
