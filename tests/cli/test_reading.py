"""`show`, `emergence`, `predict`, `compare`, `plot`: a real service's answers in a terminal."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from grokprobe.cli.main import commands
from grokprobe.cli.reading.braille import Canvas
from tests.cli.test_command import COMMAND, run
from tests.support.served import Served
from tests.support.trained import Trained

V1 = "/v1/runs/tiny"
LATEST = f"{V1}/checkpoints/latest"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ask(served: Served, *words: str) -> Result:
    """A command that reads, in this process."""
    return CliRunner().invoke(commands, [*words, "--url", served.url])


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("show", "tiny"), V1),
        (("show", "tiny@latest"), LATEST),
        (("emergence", "tiny"), f"{V1}/emergence"),
        (("predict", "tiny", "1", "2"), f"{LATEST}/predictions?a=1&b=2"),
        (("compare", "tiny@first", "tiny"), "/v1/compare?a=tiny/first&b=tiny/latest"),
    ],
)
def test_json_is_the_answer_of_the_api(served: Served, words: tuple[str, ...], path: str) -> None:
    """Every field, with its value; `predict` has the top residues beside."""
    found = json.loads(ask(served, *words, "--json").stdout)
    for row in found.get("predictions", []):
        assert len(row.pop("top")) == 3
    assert found == served.client.get(path).json()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "tiny"), ["memorised", "accuracy of train and test", "latest, step"]),
        (("show", "tiny@first"), ["sha256", "train_accuracy"]),
        (("emergence", "tiny"), ["held for", "test_accuracy"]),
        (("predict", "tiny@latest", "1", "2"), ["1, 2", "probability"]),
        (("compare", "tiny@first", "tiny"), ["accuracy a", "W_E", "train / train"]),
    ],
)
def test_tables_say_it(served: Served, words: tuple[str, ...], says: list[str]) -> None:
    """In words that a person looks for."""
    done = ask(served, *words)
    assert done.exit_code == 0
    assert [word for word in says if word not in done.stdout] == []


def test_the_picture_of_accuracy_ends_where_the_run_does(served: Served) -> None:
    """Braille between the axes; below them the steps that have a name."""
    about = served.client.get(V1).json()
    lines = ask(served, "show", "tiny").stdout.splitlines()
    axis = next(place for place, line in enumerate(lines) if "└" in line)
    assert re.search("[\u2801-\u28ff]", "".join(lines[:axis]))
    assert str(about["latest_step"]) in lines[axis + 1].split()


def test_a_terminal_without_unicode_gets_the_tables(served: Served, tmp_path: Path) -> None:
    """No picture, no error."""
    words = [*COMMAND, "show", "tiny", "--url", served.url]
    done = run(words, tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "memorised" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("words", "address"),
    [
        (("tiny", "circle"), f"{LATEST}/embedding?"),
        (("tiny@first", "spectrum"), f"{V1}/checkpoints/first/spectrum?"),
        (("tiny", "activations", "--of", "neurons", "--index", "3"), "of=neurons&index=3&"),
        (("tiny", "trajectory"), f"{V1}/trajectory?"),
        (("tiny", "pairs"), f"{V1}/pairs?by=pair&"),
    ],
)
def test_a_plot_is_the_picture_of_the_api(
    served: Served, tmp_path: Path, words: tuple[str, ...], address: str
) -> None:
    """Byte for byte."""
    output = tmp_path / "picture.svg"
    done = ask(served, "plot", *words, "-o", str(output))
    assert (done.exit_code, done.stdout) == (0, f"{output}\n")
    path = address if address.startswith("/") else f"{LATEST}/activations?{address}"
    assert output.read_bytes() == served.client.get(f"{path}format=svg").content


def test_a_comparison_can_be_a_picture(served: Served, tmp_path: Path) -> None:
    """Of the kind that the name ends in."""
    output = tmp_path / "both.json"
    assert ask(served, "compare", "tiny@first", "tiny", "-o", str(output)).exit_code == 0
    assert "vega-lite" in json.loads(output.read_text())["$schema"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "tinny"], "run 'tinny' is not published here"),
        (["show", "tiny@"], "expected RUN or RUN@STEP, such as quickstart@latest"),
        (["show", "tiny@soon"], "soon"),
        (["predict", "tiny", "1", "999"], "999"),
        (["plot", "tiny", "circle", "-o", "circle.jpg"], ".svg, .png, .pdf or .json"),
        (["plot", "tiny", "circle", "-o", "no/circle.svg"], "there is no such folder"),
        (["plot", "tiny@first", "pairs"], "leave out @first"),
        (["plot", "tiny", "neurons", "--frequency", "3"], "--frequency: is not of neurons"),
    ],
)
def test_what_is_wrong_is_told(served: Served, tmp_path: Path, words: list[str], says: str) -> None:
    """Exit status 2 and one line; no file is left."""
    done = run([*COMMAND, *words, "--url", served.url], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_without_an_address_a_service_is_started(trained: Trained, tmp_path: Path) -> None:
    """For the store of the settings."""
    done = run(
        [*COMMAND, "predict", "tiny", "1", "2"], tmp_path, GROKPROBE_HOME=trained.settings.home
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1, 2" in done.stdout


def test_nobody_there_is_told(tmp_path: Path, closed_port: int) -> None:
    """By the address that does not answer."""
    url = f"http://127.0.0.1:{closed_port}"
    done = run([*COMMAND, "show", "tiny", "--url", url], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert url in done.stderr


def test_dots_of_a_canvas() -> None:
    """Two across and four down make a character; y goes upwards, what is outside is left out."""
    canvas = Canvas(1, 1)
    canvas.draw([0, 1, 2, np.nan], [0, 1, 0.5, 0.5], "red")
    assert [line.plain for line in canvas.lines()] == ["\u2848"]
    full = Canvas(2, 1)
    full.line([0, 1], [0, 0])
    assert full.lines()[0].plain == "\u28c0\u28c0"
