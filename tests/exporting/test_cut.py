"""An export that is cut, killed or beside another: nothing is half there, the next goes on."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grokprobe import Client
from grokprobe.client.errors import Interrupted
from grokprobe.exporting.export import WRITERS, export
from tests.cli.test_command import COMMAND, run
from tests.support.faulty import faulty
from tests.support.served import Served, environment, eventually
from tests.support.trained import Trained


@pytest.mark.parametrize("form", WRITERS)
def test_a_cut_export_leaves_nothing_half(served: Served, tmp_path: Path, form: str) -> None:
    """Only what it goes on with, under a name of its own; then only files that lacked are asked."""
    with faulty(served.url) as broken, Client(broken.url, cache=False, wait_s=0.1) as client:
        tiny = client.run("tiny")
        tiny.at("first").safetensors()
        steps = len(tiny.checkpoints().checkpoints)
        broken.faults = [*["pass"] * 6, *["cut"] * 500]
        with pytest.raises(Interrupted):
            export(tiny, form, tmp_path)
        assert [one.name for one in tmp_path.iterdir()] == [".tiny.export"]
        there = len(list((tmp_path / ".tiny.export").glob("0*.safetensors")))
        broken.faults, before = [], len(broken.asked)
        target = export(tiny, form, tmp_path)
        asked = [path for path in broken.paths[before:] if "safetensors" in path]
    assert 0 < there < steps
    assert len(asked) == steps - there
    assert target.exists()
    assert not (tmp_path / ".tiny.export").exists()


@contextmanager
def in_its_middle(
    words: list[str], trained: Trained, served: Served, folder: Path
) -> Iterator["subprocess.Popen[str]"]:
    """The command, told to wait after some files; it is killed at the end."""
    with faulty(served.url) as broken:
        broken.faults, broken.retry_after = [*["pass"] * 6, *[429] * 500], "200"
        command = [*words, "--url", broken.url]
        with subprocess.Popen(
            command, cwd=folder, env=environment(trained.settings), text=True
        ) as process:
            try:
                assert eventually(lambda: list(folder.glob("to/.tiny.export/0*.safetensors")))
                yield process
            finally:
                process.send_signal(signal.SIGKILL)


def test_a_killed_export_is_gone_on_with(trained: Trained, served: Served, tmp_path: Path) -> None:
    """After kill -9 there is no export; the same command makes the one of an untroubled one."""
    words = [*COMMAND, "export", "tiny", "--format", "npz", "-o", "to"]
    with in_its_middle(words, trained, served, tmp_path):
        pass
    assert not (tmp_path / "to/tiny.npz").exists()
    assert run([*words, "--url", served.url], tmp_path).returncode == 0
    words[-1] = "other"
    assert run([*words, "--url", served.url], tmp_path).returncode == 0
    assert (tmp_path / "to/tiny.npz").read_bytes() == (tmp_path / "other/tiny.npz").read_bytes()
    assert [one.name for one in (tmp_path / "to").iterdir()] == ["tiny.npz"]


def test_a_second_export_beside_the_first_is_refused(
    trained: Trained, served: Served, tmp_path: Path
) -> None:
    """One line, exit status 2, of whatever format; the first keeps what it has."""
    first = [*COMMAND, "export", "tiny", "--format", "zarr", "-o", "to"]
    with in_its_middle(first, trained, served, tmp_path) as process:
        second = run(
            [*COMMAND, "export", "tiny", "--format", "npz", "-o", "to", "--url", served.url],
            tmp_path,
        )
        assert process.poll() is None
    assert (second.returncode, second.stdout) == (2, "")
    words = "another export is at work there; wait until it has ended"
    assert second.stderr == f"error: to/.tiny.export: {words}\n"
