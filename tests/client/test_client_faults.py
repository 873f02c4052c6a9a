"""The client under faults: the right answer, or one clear exception; nothing asked twice."""

import email.utils
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from grokprobe import Client
from grokprobe.client import errors
from grokprobe.client.cache import Cache, Kept
from grokprobe.client.events import Reader
from grokprobe.client.replies import retry_after
from tests.support.faulty import Faulty, faulty
from tests.support.served import Served


@pytest.fixture
def broken(served: Served) -> Iterator[Faulty]:
    """A server that can fail, in front of the run `tiny`'s."""
    with faulty(served.url) as found:
        yield found


@pytest.mark.parametrize("faults", [[429], [503], [503, 429, 502, 504], ["cut"], ["cut", 503]])
@pytest.mark.parametrize("post", [False, True])
def test_a_fault_that_passes_changes_nothing(broken: Faulty, faults: list[Any], post: bool) -> None:
    """Asked again until it is answered, by GET and by POST."""
    with Client(broken.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        broken.faults = list(faults)
        answer = last.predict([(1, 2)]) if post else last.predictions(1, 2)
    assert [(p.a, p.b) for p in answer.predictions] == [(1, 2)]
    assert len(broken.asked) == 1 + len(faults) + 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(429, errors.Busy), (503, errors.Busy), (500, errors.ServiceFault), (404, errors.NotFound)],
)
def test_a_fault_that_stays_is_one_exception(
    broken: Faulty, fault: int, expected: type[errors.Answered]
) -> None:
    """Of its kind, with its status; not after more than the wait that is allowed."""
    broken.faults, broken.retry_after = [fault] * 100, "3600"
    with (
        Client(broken.url, cache=False, wait_s=5) as client,
        pytest.raises(expected, match=str(fault)) as told,
    ):
        client.runs()
    assert (told.value.status, len(broken.asked)) == (fault, 1)


def test_retry_after_is_seconds_or_a_date() -> None:
    """What is neither is passed over."""
    later = email.utils.formatdate(time.time() + 3600, usegmt=True)
    assert [retry_after(v) for v in ("7", "0", "-1", "soon", None)] == [7, 0, 0, None, None]
    assert 3500 < (retry_after(later) or 0) <= 3600
    assert retry_after(email.utils.formatdate(0, usegmt=True)) == 0


def test_a_download_goes_on_where_it_was_cut(
    broken: Faulty, served: Served, tmp_path: Path
) -> None:
    """By Range and If-Range, twice; the file is whole, and nothing else is left."""
    with Client(broken.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        broken.faults = ["cut", "cut"]
        path = last.model(tmp_path / "model.onnx")
    whole = served.client.get("/v1/runs/tiny/checkpoints/latest/model.onnx").content
    assert path.read_bytes() == whole
    ranges = [headers.get("Range") for _, headers in broken.asked[1:]]
    first = len(whole) // 2 - 1  # the last byte that is there is asked for again
    assert ranges == [None, f"bytes={first}-", f"bytes={first + (len(whole) - first) // 2 - 1}-"]
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_download_that_was_given_up_is_gone_on_with(broken: Faulty, tmp_path: Path) -> None:
    """The next call asks for the rest; until then there is no file of that name."""
    with Client(broken.url, cache=False, wait_s=0) as client:
        last = client.run("tiny").at(-1)
        broken.faults = ["cut"]
        with pytest.raises(errors.Interrupted):
            last.model(tmp_path / "model.onnx")
        assert not (tmp_path / "model.onnx").exists()
        path = last.model(tmp_path / "model.onnx")
        assert path.read_bytes() == last.model()
    assert broken.asked[2][1]["Range"].startswith("bytes=")


def test_a_part_that_was_whole_is_put_in_its_place(served: Served, tmp_path: Path) -> None:
    """As where a process ended between its last byte and the file's name."""
    with Client(served.url, cache=False) as client:
        last = client.run("tiny").at(-1)
        reply = served.client.get("/v1/runs/tiny/checkpoints/latest/model.onnx")
        (tmp_path / ".model.onnx.part").write_bytes(reply.content)
        (tmp_path / ".model.onnx.etag").write_text(reply.headers["ETag"])
        assert last.model(tmp_path / "model.onnx").read_bytes() == reply.content
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_part_that_was_damaged_is_thrown_away(broken: Faulty, tmp_path: Path) -> None:
    """The digest is looked at: one exception, and the next download is right."""
    with Client(broken.url, cache=False, wait_s=0) as client:
        last = client.run("tiny").at(-1)
        broken.faults = ["cut"]
        with pytest.raises(errors.Interrupted):
            last.model(tmp_path / "model.onnx")
        part = tmp_path / ".model.onnx.part"
        part.write_bytes(bytes(part.stat().st_size))
        with pytest.raises(errors.Damaged, match="SHA-256"):
            last.model(tmp_path / "model.onnx")
        assert list(tmp_path.iterdir()) == []
        assert last.model(tmp_path / "model.onnx").read_bytes() == last.model()


def test_an_event_that_is_none_is_damage() -> None:
    """Its data is JSON, whatever stands between the service and us."""
    reader = Reader(None)
    assert list(reader.read("data: <html>")) == []
    with pytest.raises(errors.Damaged, match="the data of an event"):
        list(reader.read(""))


def test_a_server_that_restarts_is_waited_for(served: Served) -> None:
    """Who was answered before knocks again while nobody listens."""
    with Client(served.url, cache=False) as real, ExitStack() as stack:
        expected = real.run("tiny").about
        with faulty(served.url) as first:
            port = int(first.url.rpartition(":")[2])
            client = stack.enter_context(Client(first.url, cache=False))
            assert client.run("tiny").about == expected
        again = threading.Thread(target=lambda: stack.enter_context(faulty(served.url, port)))
        again.start()
        assert client.run("tiny").about == expected
        again.join()


def test_what_never_changes_is_asked_once(broken: Faulty, tmp_path: Path) -> None:
    """By any client with the same folder; what may change is asked with its ETag."""
    for _ in range(3):
        with Client(broken.url, cache=tmp_path) as client:
            spectrum = client.run("tiny").at(0).spectrum()
    assert spectrum.step == 0
    assert [path for path in broken.paths if "spectrum" in path] == [
        "/v1/runs/tiny/checkpoints/0/spectrum"
    ]
    known = [headers.get("If-None-Match") for path, headers in broken.asked if path[-4:] == "tiny"]
    assert [bool(tag) for tag in known] == [False, True, True]


def test_a_name_that_is_used_again_has_other_answers(broken: Faulty, tmp_path: Path) -> None:
    """The key holds when the run was created."""
    with Client(broken.url, cache=tmp_path) as client:
        run = client.run("tiny")
        run.at(0).spectrum()
        run._identity = "another day"
        run.at(0).spectrum()
    assert len([path for path in broken.paths if "spectrum" in path]) == 2


@pytest.mark.parametrize("damage", [b"", b"{}", b"\n", b"not JSON\nbody", None])
def test_a_damaged_entry_is_thrown_away(
    broken: Faulty, tmp_path: Path, damage: bytes | None
) -> None:
    """And asked for again: whatever became of the file, or of its end."""
    with Client(broken.url, cache=tmp_path) as client:
        expected = client.run("tiny").at(0).spectrum()
        for path in tmp_path.iterdir():
            path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
        assert client.run("tiny").at(0).spectrum() == expected
    assert len([path for path in broken.paths if "spectrum" in path]) == 2


def test_the_cache_keeps_to_its_bound(tmp_path: Path) -> None:
    """What was read longest ago goes; what is larger than all of it is not kept."""
    cache = Cache(tmp_path, 4000)
    for number in range(10):
        cache.put(str(number), Kept("", '"tag"', True, body=bytes(1000)))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000
    assert cache.get("9") == Kept("", '"tag"', True, cache.get("9").sha256, bytes(1000))  # type: ignore[union-attr]
    cache.put("large", Kept("", body=bytes(5000)))
    assert cache.get("large") is None


def test_the_cache_is_safe_for_several_at_once(tmp_path: Path) -> None:
    """Whoever reads finds nothing or a whole answer, whatever others write and remove."""

    def work(worker: int) -> None:
        cache = Cache(tmp_path, 3000)
        for number in range(60):
            key = str(number % 5)
            cache.put(key, Kept("", body=key.encode() * (500 + worker)))
            found = cache.get(key)
            assert found is None or set(found.body.decode()) == {key}

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))


def test_a_folder_that_cannot_be_used_keeps_nothing(served: Served, tmp_path: Path) -> None:
    """A client works without."""
    (tmp_path / "file").write_text("")
    with Client(served.url, cache=tmp_path / "file") as client:
        assert client.run("tiny").at(0).spectrum().step == 0
