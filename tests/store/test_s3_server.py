"""Our archive on a real S3 server: what it promises, and what it keeps through a kill."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from obstore.store import ObjectStore, S3Store

from grokprobe.errors import StoreUnavailable
from grokprobe.store.archive.reader import ArchiveReader
from tests.support.s3_servers import READER, WRITER, S3Server, s3_server
from tests.support.served import PATIENCE_S
from tests.support.stores import contents, with_loop
from tests.support.tiny import tiny_run

TINY = tiny_run()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One for the file."""
    with s3_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


def store(server: S3Server, bucket: str, key: str = WRITER, timeout: str = "5s") -> ObjectStore:
    """The bucket with the rights of a key, asked once."""
    return S3Store(
        bucket,
        endpoint=server.endpoint,
        access_key_id=key,
        secret_access_key=key,
        client_options={"allow_http": True, "timeout": timeout},
        retry_config={"max_retries": 0},
    )


@with_loop
async def test_of_many_who_create_an_object_one_does(server: S3Server) -> None:
    """Conditional writes hold when they come at the same time."""
    server.client().create_bucket(Bucket="race")
    archive = ArchiveReader(store(server, "race", timeout="600s"))  # no fault is made here
    for turn in range(10):
        tries = [archive.objects.create(f"object-{turn}", b"%d" % n) for n in range(8)]
        assert (await asyncio.gather(*tries)).count(None) == 1


@with_loop
async def test_what_was_published_outlives_a_kill(server: S3Server) -> None:
    """The same address has the same objects after kill -9."""
    server.client().create_bucket(Bucket="kept")
    archive = ArchiveReader(store(server, "kept"))
    await TINY.publish(archive)
    before = await contents(archive)
    server.kill()
    with pytest.raises(StoreUnavailable):
        await archive.runs()
    server.start()
    assert await contents(archive) == before
    assert await archive.steps("tiny") == [0, 10, 200]


@with_loop
async def test_a_frozen_server_answers_nobody_and_then_goes_on(server: S3Server) -> None:
    """SIGSTOP: connections are accepted, nothing comes; SIGCONT: soon all is as before."""
    server.client().create_bucket(Bucket="frozen")
    archive = ArchiveReader(store(server, "frozen"))
    await TINY.publish(archive)
    server.freeze()
    with pytest.raises(StoreUnavailable):
        await archive.runs()
    server.thaw()
    assert await answered(archive) == ["tiny"]


async def answered(archive: ArchiveReader) -> list[str]:
    """The runs, once it is asked again: after a silence it is not for a while."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(StoreUnavailable):
                return await archive.runs()
            await asyncio.sleep(0.02)


@with_loop
async def test_a_reader_reads_and_cannot_write(server: S3Server) -> None:
    """Keys have rights of their own, and an unknown one has none."""
    server.client().create_bucket(Bucket="rights")
    await TINY.publish(ArchiveReader(store(server, "rights")))
    archive = ArchiveReader(store(server, "rights", READER))
    assert await archive.steps("tiny") == [0, 10, 200]
    with pytest.raises(ClientError):
        server.client(READER).put_object(Bucket="rights", Key="x", Body=b"")
    with pytest.raises(StoreUnavailable):
        await ArchiveReader(store(server, "rights", "nobody")).runs()


def test_each_folder_is_a_server_of_its_own(server: S3Server, tmp_path: Path) -> None:
    """Two run side by side."""
    with s3_server(tmp_path) as other:
        assert other.endpoint != server.endpoint
        other.client().create_bucket(Bucket="only-here")
        names = [b["Name"] for b in server.client().list_buckets()["Buckets"]]
        assert "only-here" not in names
