"""Downloads to one path at once: each ends with the file, and nothing else is left beside it."""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from grokprobe import Client
from grokprobe.client import errors
from tests.client.test_forks import in_a_fork
from tests.support.faulty import Faulty, faulty
from tests.support.served import Served

PROGRESS = "grokprobe.client.synchronous.connection.progress"


@pytest.fixture
def broken(served: Served) -> Iterator[Faulty]:
    """A server that can fail, in front of the run `tiny`'s."""
    with faulty(served.url) as found:
        yield found


@pytest.fixture
def whole(served: Served) -> bytes:
    """The model's file."""
    return served.client.get("/v1/runs/tiny/checkpoints/latest/model.onnx").content


def in_the_middle(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> list[Any]:
    """What work gives, which is done once, when the next download has its first bytes."""
    done: list[Any] = []

    def progress(*_: Any) -> AbstractContextManager[Callable[[int], None]]:
        def told(_: int) -> None:
            if not done:
                done.append(None)
                done[0] = work()

        return nullcontext(told)

    monkeypatch.setattr(PROGRESS, progress)
    return done


@pytest.mark.parametrize("faults", [[], ["cut"]], ids=["whole", "cut"])
def test_a_second_download_disturbs_none(
    broken: Faulty, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, faults: list[Any]
) -> None:
    """Nor does its being cut, or that of the first, which is gone on with."""
    target = tmp_path / "model.onnx"

    def second() -> tuple[bytes, list[str]]:
        broken.faults = list(faults)
        data = last.model(target).read_bytes()
        return data, sorted(path.name for path in tmp_path.iterdir())

    with Client(broken.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        broken.faults = list(faults)
        done = in_the_middle(monkeypatch, second)
        assert last.model(target).read_bytes() == whole
    assert done == [(whole, [".model.onnx.etag", ".model.onnx.part", "model.onnx"])]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_nor_does_one_of_another_process(
    served: Served, tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a study's workers."""
    target = tmp_path / "model.onnx"
    with Client(served.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        other = lambda: in_a_fork(lambda: last.model(target).read_bytes() == whole)  # noqa: E731
        done = in_the_middle(monkeypatch, other)
        assert last.model(target).read_bytes() == whole
    assert done == [True]
    assert list(tmp_path.iterdir()) == [target]


def test_many_at_once(served: Served, tmp_path: Path, whole: bytes) -> None:
    """In threads, again and again: whoever looks sees no file or a whole one."""
    target, workers = tmp_path / "model.onnx", 4
    together = threading.Barrier(workers)

    def work(_: int) -> None:
        with Client(served.url, cache=False) as client:
            last = client.run("tiny").at(-1)
            for _ in range(5):
                together.wait()
                try:
                    assert last.model(target).read_bytes() == whole
                except BaseException:
                    together.abort()
                    raise

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    assert list(tmp_path.iterdir()) == [target]


def test_what_is_given_up_beside_another_leaves_nothing(
    broken: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first's part alone is there to be gone on with."""
    target = tmp_path / "model.onnx"

    def second() -> None:
        broken.faults = ["cut"]
        with pytest.raises(errors.Interrupted):
            last.model(target)

    with Client(broken.url, cache=False, wait_s=0) as client:
        last = client.run("tiny").at(-1)
        broken.faults = ["cut"]
        in_the_middle(monkeypatch, second)
        with pytest.raises(errors.Interrupted):
            last.model(target)
        assert {path.name for path in tmp_path.iterdir()} == {
            ".model.onnx.etag",
            ".model.onnx.part",
        }
        assert last.model(target).read_bytes() == last.model()
    assert any("Range" in headers for _, headers in broken.asked)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("lock", [None, OSError("no locks")], ids=["no fcntl", "no locks"])
def test_without_locks_each_has_its_own(
    broken: Faulty,
    tmp_path: Path,
    whole: bytes,
    monkeypatch: pytest.MonkeyPatch,
    lock: Exception | None,
) -> None:
    """A cut is mended within the call; what is given up leaves nothing."""

    def flock(*_: Any) -> None:
        raise lock or AssertionError

    if lock is None:
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", flock)
    with Client(broken.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        broken.faults = ["cut"]
        assert last.model(tmp_path / "model.onnx").read_bytes() == whole
        assert broken.asked[-1][1]["Range"].startswith("bytes=")
        with pytest.raises(errors.NotFound):
            client.run("tiny").at(10**9).model(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("name", ["none/model.onnx", "file/model.onnx", "x" * 300])
def test_what_the_disk_refuses_names_the_file(served: Served, tmp_path: Path, name: str) -> None:
    """Not the part beside it, of which nobody has heard."""
    (tmp_path / "file").write_text("")
    target = tmp_path / name
    with Client(served.url, cache=False) as client, pytest.raises(OSError) as told:
        client.run("tiny").at(-1).model(target)
    assert told.value.filename == str(target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("target", [5, b"model.onnx", "a\0b", "\ud800"])
def test_what_is_no_path(served: Served, target: Any) -> None:
    """It is shown."""
    with (
        Client(served.url, cache=False) as client,
        pytest.raises(errors.ClientError, match="expected the path of a file"),
    ):
        client.run("tiny").at(-1).model(target)
