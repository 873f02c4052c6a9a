"""From settings to backends: every URL, every refusal in one line, nothing that hangs."""

import asyncio
from pathlib import Path

import pytest
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, S3Store

from grokprobe.errors import CatalogueUnavailable, SettingError, StoreUnavailable
from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.clients import REDIS_TIMEOUT_S, connect_redis
from grokprobe.store.catalogue.embedded.server import embedded_redis
from tests.support.stores import indexed_steps, s3_bucket, s3_endpoint, with_loop
from tests.support.tiny import tiny_run

TINY = tiny_run()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual variables."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@with_loop
async def test_by_default_everything_lies_under_home(tmp_path: Path) -> None:
    """Files and the embedded Redis, ready at once; a second start finds what the first wrote."""
    settings = Settings(home=str(tmp_path / "not" / "yet there"))
    async with open_backends(settings) as backends:
        assert await backends.catalogue.ready()
        await TINY.publish(backends)
    assert (settings.home_path / "store" / "runs" / "tiny" / "run.json").exists()
    async with open_backends(settings) as backends:
        assert (await backends.catalogue.contents("tiny")).run.record == TINY.manifest


@with_loop
async def test_an_embedded_index_that_was_lost_is_rebuilt_at_the_next_start(
    tmp_path: Path,
) -> None:
    """It is ours alone, so nobody has to ask for it."""
    settings = Settings(home=str(tmp_path))
    await TINY.publish(ArchiveReader(open_store(settings)))
    async with open_backends(settings) as backends:
        assert await indexed_steps(backends.catalogue, "tiny") == [0, 10, 200]


@with_loop
async def test_an_index_that_others_share_is_declared_only_over_an_empty_storage(
    tmp_path: Path,
) -> None:
    """Over a storage with runs it waits for `reindex`; over an empty one it is ready at once."""
    full, empty = (Settings(home=str(tmp_path / name)) for name in ("full", "empty"))
    await TINY.publish(ArchiveReader(open_store(full)))
    with embedded_redis(tmp_path) as socket:
        url = f"unix://{socket}"
        async with open_backends(Settings(home=full.home, redis_url=url)) as backends:
            assert not await backends.catalogue.ready()
        async with open_backends(Settings(home=empty.home, redis_url=url)) as backends:
            assert await backends.catalogue.ready()


@with_loop
async def test_a_redis_that_refuses_costs_seconds_and_stops_nobody(
    tmp_path: Path, closed_port: int
) -> None:
    """The backends open; each use of the catalogue is a one-line error."""
    url = f"redis://127.0.0.1:{closed_port}"
    async with open_backends(Settings(home=str(tmp_path), redis_url=url)) as backends:
        await TINY.publish(backends.archive)
        with pytest.raises(CatalogueUnavailable, match="Redis does not answer: ") as failure:
            await backends.catalogue.runs()
    assert "\n" not in str(failure.value)


@with_loop
async def test_a_redis_that_never_answers_costs_seconds() -> None:
    """A server that accepts and then says nothing is given up after a few time-outs of a second."""
    tries = []

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    catalogue = Catalogue(connect_redis(f"redis://127.0.0.1:{port}"))
    with pytest.raises(CatalogueUnavailable):
        await catalogue.runs()
    assert len(tries) * REDIS_TIMEOUT_S < 6
    await catalogue.connection.aclose()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost",
        "redis://host:99999",
        "redis://:secret@host?unknown=1",
        "redis://:secret@host?db=first",
        "rediss://host?ssl_cert_reqs=perhaps",
        "redis://[::1",
    ],
)
def test_a_bad_redis_url_names_the_setting_and_keeps_the_password(url: str) -> None:
    """It is refused before any connection, and not shown."""
    with pytest.raises(SettingError, match="GROKPROBE_REDIS_URL") as failure:
        connect_redis(url)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/path",
        "runs",
        "s3://",
        "file://relative/path",
        "file:///proc/none/here",
        "s3://[",
    ],
)
def test_a_bad_store_url_names_the_setting(url: str) -> None:
    """One line, whatever the library says."""
    with pytest.raises(SettingError, match="GROKPROBE_STORE_URL") as failure:
        open_store(Settings(store_url=url))
    assert "\n" not in str(failure.value)


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("endpoint", ["nonsense", "localhost:9000", "ftp://host", "http://"])
def test_a_bad_endpoint_names_the_setting(endpoint: str) -> None:
    """The library would accept it and panic at the first request."""
    with pytest.raises(SettingError, match="GROKPROBE_S3_ENDPOINT"):
        open_store(Settings(store_url="s3://bucket", s3_endpoint=endpoint))


def test_a_home_that_cannot_hold_files_is_named(tmp_path: Path) -> None:
    """The default store lies under HOME, so HOME is what is wrong."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="GROKPROBE_HOME"):
        open_store(Settings(home=str(tmp_path / "file")))


@pytest.mark.usefixtures("aws")
def test_each_scheme_is_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is contacted when a store is opened; a path may hold what a URL must escape."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    for url, kind in (
        (f"file://{tmp_path}/a%20folder", LocalStore),
        ("memory://", MemoryStore),
        ("s3://bucket/prefix", S3Store),
        ("gs://bucket/prefix", GCSStore),
        ("az://container/prefix", AzureStore),
    ):
        assert isinstance(open_store(Settings(store_url=url)), kind)
    assert (tmp_path / "a folder").is_dir()


@pytest.mark.usefixtures("aws")
@with_loop
async def test_an_s3_url_with_a_prefix_and_an_endpoint_is_used() -> None:
    """What is published through the settings is found under the prefix."""
    bucket = s3_bucket()
    settings = Settings(store_url=f"s3://{bucket}/a/prefix", s3_endpoint=s3_endpoint())
    archive = ArchiveReader(open_store(settings))
    await TINY.publish(archive)
    whole = ArchiveReader(
        open_store(Settings(store_url=f"s3://{bucket}", s3_endpoint=s3_endpoint()))
    )
    assert await problems(archive, "tiny") == []
    assert "a/prefix/runs/tiny/run.json" in await whole.objects.below("")


@pytest.mark.usefixtures("aws")
@with_loop
async def test_a_dead_endpoint_fails_in_seconds(tmp_path: Path, closed_port: int) -> None:
    """And the backends open nonetheless: hot checkpoints can be served."""
    endpoint = f"http://127.0.0.1:{closed_port}"
    settings = Settings(home=str(tmp_path), store_url="s3://bucket", s3_endpoint=endpoint)
    async with open_backends(settings) as backends:
        with pytest.raises(StoreUnavailable):
            await backends.archive.runs()
