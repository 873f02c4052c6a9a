"""`grokprobe report`: one file that shows a run and asks nobody."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from grokprobe.cli.reports.page import MEASURES, SERIES
from grokprobe.settings import Settings
from grokprobe.store.records import sha256
from tests.support.chromium import chromium, needs_chromium
from tests.support.served import PATIENCE_S, Served, environment, eventually, serving
from tests.support.trained import TINY_STEPS, Trained

ROOT = Path(__file__).parents[2]


def report(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command."""
    return subprocess.run(
        [sys.executable, "-m", "grokprobe", "report", *arguments],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_measures_are_those_of_the_page() -> None:
    """One list: what the page asks for is what the report holds."""
    text = (ROOT / "explorer" / "src" / "data" / "run.ts").read_text()
    listed = text.partition("MEASURES = [")[2].partition("]")[0]
    assert tuple(re.findall(r"'(\w+)'", listed)) == MEASURES


def test_paths_are_those_of_the_page() -> None:
    """A series that the page has is in a report, but for answers to all pairs: it cannot ask."""
    text = (ROOT / "explorer" / "src" / "data" / "run.ts").read_text()
    asked = set(re.findall(r"[`'}](/[a-z]+(?:\?[a-z=&]+)?)(?=[`'$])", text))
    held = {path.partition("measures=")[0] for path in SERIES}
    assert {path.partition("measures=")[0] for path in asked} == held | {"/grids?format=npy"}


@needs_chromium
def test_it_opens_from_a_folder(trained: Trained, tmp_path: Path) -> None:
    """Every panel has its data, a step moves all, and there is no request and no complaint."""
    done = report(trained.settings, "tiny", "-o", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    address = (tmp_path / "report.html").as_uri()
    with chromium() as browser:
        page, asked, said = browser.new_page(), list[str](), list[str]()
        page.set_default_timeout(1000 * PATIENCE_S)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        page.wait_for_selector("canvas")
        page.get_by_text("This page is a report").wait_for()
        # Asked from here: the policy lets nothing be evaluated inside, nor wait_for_function.
        drawn = "() => Object.values(window.grokprobe?.drawn ?? {}).map((one) => one.step)"
        assert eventually(lambda: page.evaluate(drawn).count(TINY_STEPS[-1]) >= 5)
        page.goto(f"{address}#/runs/tiny?step={TINY_STEPS[0]}")
        assert eventually(lambda: page.evaluate(drawn).count(TINY_STEPS[0]) >= 5)
        split = "() => window.grokprobe.drawn.grid?.split?.length"
        assert eventually(lambda: page.evaluate(split) == trained.config.task.modulus**2)
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert said == []


def test_a_service_that_runs(trained: Trained, served: Served, tmp_path: Path) -> None:
    """The same file from it as from one of its own."""
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    done = report(trained.settings, "tiny", "-o", str(files[0]), "--url", served.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert report(trained.settings, "tiny", "-o", str(files[1])).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_service_that_asks_for_a_key(trained: Trained, tmp_path: Path) -> None:
    """With it the report is written; without, one line says where a key goes."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann {sha256(b'a-key')}\n")
    given = ("tiny", "-o", str(tmp_path / "a.html"), "--url")
    with serving(trained.settings, tmp_path, GROKPROBE_API_KEYS_FILE=str(keys)) as served:
        without = report(trained.settings, *given, served.url)
        assert report(trained.settings, *given, served.url, "--key", "a-key").returncode == 0
    assert without.returncode == 2
    assert "give it as" in without.stderr
    assert "--key" in without.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobody", "-o", "x.html"), "nobody"),
        (("tiny", "-o", "x.docx"), ".html"),
        (("tiny", "-o", "no/such/x.html"), "cannot be written"),
    ],
)
def test_what_it_cannot_do(
    trained: Trained, served: Served, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """One line, exit status 2, and no file."""
    run, option, name = arguments
    given = (run, option, str(tmp_path / name), "--url", served.url)
    done = report(trained.settings, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
