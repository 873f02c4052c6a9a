"""A publication that ends between any two writes; storage that answers badly or not at all."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import numpy as np
import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from grokprobe.errors import RunExists, RunNotFound, StoreUnavailable
from grokprobe.store.archive.predictions import read_predictions
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from tests.support.stores import KINDS, Interrupted, contents, interrupting, new_store, with_loop
from tests.support.tiny import TinyRun, again, answering, digest_of, tiny_run

TINY = answering(tiny_run(steps=(0, 10)))
OF_A_CHECKPOINT = 3  # model, predictions, manifest
WRITES = 2 + OF_A_CHECKPOINT * len(TINY.checkpoints) + 1
DELETES = 1 + WRITES
PUBLISH_AND_DIE = """
import asyncio, sys
from obstore.store import LocalStore
from tests.support.stores import interrupting, kill
from tests.support.tiny import answering, tiny_run
folder, at = sys.argv[1:]
run = answering(tiny_run(steps=(0, 10)))
asyncio.run(run.publish(interrupting(LocalStore(folder), int(at), kill)))
"""


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store, once of each kind."""
    return new_store(request.param, tmp_path)


async def whole_steps(archive: ArchiveReader) -> int:
    """The number of checkpoints that a reader sees; each of them, and its run, is read whole."""
    count = 0
    for run in await archive.runs():
        mask = await archive.train_mask(run)
        assert mask is not None
        assert np.array_equal(mask, TINY.train_mask)
        for manifest in await archive.checkpoints(run, await archive.steps(run)):
            assert (manifest, await archive.model(manifest)) in TINY.checkpoints
            assert await read_predictions(archive, manifest, 7) is not None
            count += 1
    return count


async def repeat(archive: ArchiveReader, run: TinyRun) -> None:
    """Publish once more, as `resume` does."""
    publisher = ArchivePublisher(archive)
    with suppress(RunExists):
        await publisher.publish_run(run.manifest, run.train_mask)
    published = [
        await publisher.publish_checkpoint(*each, run.predictions[each[0].step])
        for each in run.checkpoints
    ]
    end = msgspec.structs.replace(run.completion, manifests_sha256=digest_of(published))
    await publisher.publish_completion(end)


@pytest.mark.parametrize("at", range(WRITES))
@with_loop
async def test_an_interrupted_publication_shows_no_half_and_is_completed_by_repeating_it(
    store: ObjectStore, at: int
) -> None:
    """Before each write in turn: readers see whole checkpoints, a repetition adds the rest."""
    archive, reference = ArchiveReader(store), ArchiveReader(MemoryStore())
    with pytest.raises(Interrupted):
        await TINY.publish(interrupting(store, at))
    before = await contents(archive)
    assert len(before) == at
    assert await whole_steps(archive) == max(0, (at - 2) // OF_A_CHECKPOINT)
    await repeat(archive, TINY)
    await TINY.publish(reference)
    after = await contents(archive)
    assert after == await contents(reference)
    assert before.items() <= after.items()
    assert await problems(archive, "tiny") == []


@pytest.mark.parametrize("at", range(WRITES))
@with_loop
async def test_a_killed_publisher_leaves_whole_checkpoints(tmp_path: Path, at: int) -> None:
    """SIGKILL before each write in turn; a later process completes it, `created_at` apart."""
    done = subprocess.run(
        [sys.executable, "-c", PUBLISH_AND_DIE, str(tmp_path), str(at)], check=False
    )
    assert done.returncode == -9
    archive = ArchiveReader(LocalStore(tmp_path))
    before = await contents(archive)
    assert await whole_steps(archive) == max(0, (at - 2) // OF_A_CHECKPOINT)
    await repeat(archive, again(TINY))
    assert before.items() <= (await contents(archive)).items()
    assert await archive.steps("tiny") == [0, 10]
    assert await problems(archive, "tiny") == []


@pytest.mark.parametrize("at", range(DELETES))
@with_loop
async def test_an_interrupted_deletion_shows_nothing_and_is_completed_by_repeating_it(
    store: ObjectStore, at: int
) -> None:
    """From the tombstone on nobody sees the run; the repetition leaves the tombstone alone."""
    archive = ArchiveReader(store)
    await TINY.publish(archive)
    with pytest.raises(BaseException) as interruption:
        await ArchivePublisher(interrupting(store, at)).delete("tiny")
    assert "Interrupted" in repr(interruption.value)
    assert await archive.runs() == (["tiny"] if at == 0 else [])
    assert await whole_steps(archive) == (2 if at == 0 else 0)
    await ArchivePublisher(archive).delete("tiny")
    assert list(await contents(archive)) == ["runs/tiny/deleted.json"]
    with pytest.raises(RunNotFound):
        await archive.run("tiny")


class Conflicting(BaseHTTPRequestHandler):
    """S3 at a race: 409 to the first create, nothing there yet, then the create succeeds."""

    puts = 0

    def do_PUT(self) -> None:
        """The first of two creates meets another one under way."""
        self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["If-None-Match"] == "*"
        Conflicting.puts += 1
        self._answer(409 if Conflicting.puts == 1 else 200)

    def do_GET(self) -> None:
        """The other create has not ended."""
        self._answer(404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("ETag", '"tag"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def conflicting_server() -> Iterator[str]:
    """The URL of a server that answers like `Conflicting`."""
    with HTTPServer(("127.0.0.1", 0), Conflicting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@with_loop
async def test_a_create_that_meets_a_409_is_tried_again() -> None:
    """A conflict with nothing there is not an object that exists."""
    with conflicting_server() as endpoint:
        archive = ArchiveReader(s3(endpoint))
        assert await archive.objects.create("runs/a/run.json", b"{}") is None
    assert Conflicting.puts == 2


def s3(endpoint: str) -> S3Store:
    """A bucket on a server that may not be one."""
    return S3Store(
        "bucket",
        endpoint=endpoint,
        access_key_id="test",
        secret_access_key="test",
        client_options={"allow_http": True},
        retry_config={"max_retries": 1},
    )


@with_loop
async def test_storage_that_does_not_answer_is_one_line_that_names_the_object(
    closed_port: int,
) -> None:
    """Reads, writes, lists and deletes of a closed port: StoreUnavailable, never the library's."""
    archive = ArchiveReader(s3(f"http://127.0.0.1:{closed_port}"))
    for call, what, place in (
        (archive.runs(), "cannot list", "runs"),
        (archive.run("tiny"), "cannot read", "runs/tiny/deleted.json"),
        (archive.objects.create("a/b", b""), "cannot write", "a/b"),
        (archive.objects.remove("a/b"), "cannot delete", "a/b"),
        (archive.objects.below("a"), "cannot list", "a"),
    ):
        with pytest.raises(StoreUnavailable) as failure:
            await call
        assert what in str(failure.value)
        assert place in failure.value.told
        assert f"127.0.0.1:{closed_port}" in failure.value.told
        assert "\n" not in failure.value.told


@with_loop
async def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A file stands where a folder must be: one line that names the object."""
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StoreUnavailable) as failure:
        await TINY.publish(ArchiveReader(LocalStore(tmp_path)))
    assert re.search(r"cannot .*: Not a directory \(runs/tiny", failure.value.told)
