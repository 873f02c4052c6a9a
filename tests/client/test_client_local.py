"""A folder without a server: a service of our own, which ends with whoever started it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grokprobe import Client
from grokprobe.client import errors
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
        assert is_there(child.pid)
    assert not is_there(child.pid)
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


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "sys.exit()"])
def test_the_service_ends_with_its_parent(home: Path, end: str) -> None:
    """Also where that is killed."""
    program = (
        "import os, sys; from grokprobe import Client\n"
        f"client = Client.local({str(home)!r}, cache=False)\n"
        f"print(client._child.pid, flush=True); {end}"
    )
    command = [sys.executable, "-c", program]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert eventually(lambda: not is_there(int(done.stdout)))
