"""A folder without a server: a service of our own, which ends with whoever started it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from grokprobe import Client
from grokprobe.client import errors, local
from tests.support.served import eventually


def is_there(process: int) -> bool:
    """Whether it runs."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("part", ["", "store"])
def test_a_folder_is_opened(home: Path, tmp_path: Path, part: str) -> None:
    """The demo's HOME, or a store folder; closing ends the service and removes its socket."""
    with Client.local(home / part, cache=tmp_path / "cache") as client:
        assert [row.run for row in client.runs().runs] == ["tiny"]
        assert client.run("tiny").at(0).spectrum().to_arrow().num_rows > 0
        child = client._child
        assert child
        assert child.process
        assert is_there(child.process.pid)
    assert not is_there(child.process.pid)
    assert not child.socket.parent.exists()


def test_an_address_is_opened(home: Path) -> None:
    """As a bucket is; without a cache."""
    with Client.local((home / "store").as_uri(), cache=False) as client:
        assert client.run("tiny").about.status == "complete"


def test_the_settings_are_meant_where_nothing_is_given(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GROKPROBE_HOME."""
    monkeypatch.setenv("GROKPROBE_HOME", str(home))
    with Client.local(cache=False) as client:
        assert client.run("tiny").about.status == "complete"


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
    """Before anything is started; or in the service's own words."""
    with pytest.raises(errors.NotHere, match="holds no runs"):
        Client.local(tmp_path)
    with pytest.raises(errors.NotHere, match="GROKPROBE_STORE_URL"):
        Client.local("ftp://somewhere/else")


def test_temporary_files_may_lie_deep(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deeper than the path of a socket can be."""
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with Client.local(home, cache=False) as client:
        assert client.run("tiny").about.status == "complete"


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "sys.exit()"])
def test_the_service_ends_with_its_parent(home: Path, scratch: Path, end: str) -> None:
    """Also where that is killed, which leaves the folder of its socket."""
    program = (
        "import os, sys; from grokprobe import Client\n"
        f"client = Client.local({str(home)!r}, cache=False)\n"
        f"print(client._child.process.pid, flush=True); {end}"
    )
    command = [sys.executable, "-c", program]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(scratch)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert eventually(lambda: not is_there(int(done.stdout)))


def test_interrupted_anywhere_it_leaves_nothing(
    home: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any line of the start: neither the folder nor a service."""
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    passed, processes = set[int](), list[int]()

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if code.co_filename != local.__file__ or code.co_name == "stop":
            return None
        if event == "line" and frame.f_lineno not in passed:
            sys.settrace(None)
            passed.add(frame.f_lineno)
            process = getattr(frame.f_locals.get("self"), "process", None)
            processes.extend([process.pid] if process else [])
            raise KeyboardInterrupt
        return interrupt

    before, cut = sys.gettrace(), -1
    while cut < len(passed):
        cut = len(passed)
        sys.settrace(interrupt)
        try:
            local.started(home).stop()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert list(scratch.rglob("*")) == [], sorted(passed)
    assert len(passed) > 10
    assert processes
    assert not any(map(is_there, processes))
