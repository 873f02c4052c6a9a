"""Backup and restore by docs/storage.md: a copy of the objects is all there is to it."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends
from tests.e2e.test_bucket_rights import PAGE
from tests.e2e.test_faults import everything, settled, whole
from tests.support.deployment import BUCKET, asked, deployed, differing
from tests.support.s3_servers import S3Server, s3_server
from tests.support.served import eventually
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run
from tests.support.trained import Trained, settings_at

PREFIX = "some/prefix"
[COPY] = re.findall(r"^    (cp .*)$", PAGE, re.MULTILINE)


def copy_folder(source: Path, target: Path) -> None:
    """What the page says of a folder."""
    command = COPY.replace("STORE", str(source)).replace("BACKUP", str(target))
    subprocess.run(command, shell=True, check=True)


def listed(client: Any, bucket: str) -> Iterator[dict[str, Any]]:
    """Every object of a bucket."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from page.get("Contents", [])


def upload(folder: Path, client: Any) -> None:
    """A folder's objects into the bucket."""
    for path in folder.rglob("*"):
        if path.is_file():
            key = f"{PREFIX}/{path.relative_to(folder).as_posix()}"
            client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())


def tags(client: httpx.Client, of: list[str]) -> dict[str, str | None]:
    """The ETag of each path."""
    return {path: client.get(path).headers.get("etag") for path in of}


def publish_another(settings: Settings) -> None:
    """One more run, of a group."""

    async def publish() -> None:
        async with open_backends(settings) as backends:
            await tiny_run("another", group="g").publish(backends)

    asyncio.run(publish())


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_copy_answers_what_the_original_did(trained: Trained, tmp_path: Path, kind: str) -> None:
    """Elsewhere, with a Redis that has nothing: the same bytes and ETags; `verify` is content."""
    first, backup, second = (tmp_path / name for name in ("first", "backup", "second"))
    for folder in (first, second):
        folder.mkdir()
    (first / "home").mkdir()
    copy_folder(trained.settings.home_path / "store", first / "home" / "store")
    with deployed(first) as original:
        publish_another(original.settings)
        assert original.run("grokprobe", "reindex").returncode == 0
        client = original.client()
        before = settled(client)
        marks = tags(client, list(before))
    assert all(mark for path, mark in marks.items() if "/checkpoints/" in path)
    copy_folder(first / "home" / "store", backup)
    storage = S3Server(second / "s3") if kind == "bucket" else None
    if storage is None:
        (second / "home").mkdir()
        copy_folder(backup, second / "home" / "store")
    with deployed(second, services=0, storage=storage) as restored:
        if storage:
            upload(backup, storage.client())
        client = restored.add_service()
        assert eventually(partial(whole, client))
        assert eventually(lambda: sorted(everything(client)) == sorted(before))
        assert differing(before, asked(client, list(before))) == {}
        assert tags(client, list(before)) == marks
        verified = restored.run("grokprobe", "verify")
        assert verified.returncode == 0, verified.stdout


@with_loop
async def test_what_was_caught_in_the_middle_is_named_and_completed(tmp_path: Path) -> None:
    """A copy that was made while a run was published: `verify` names it, another copy ends it."""
    source, backup = settings_at(tmp_path / "source"), settings_at(tmp_path / "backup")
    run = tiny_run()
    await run.publish(ArchiveReader(open_store(source)))
    store, copied = source.home_path / "store", backup.home_path / "store"
    copied.parent.mkdir()
    archive = ArchiveReader(open_store(backup))
    for missing in (names.model_path(run.name, 10), names.manifest_path(run.name, 10)):
        shutil.rmtree(copied, ignore_errors=True)
        copy_folder(store, copied)
        (copied / missing).unlink()
        assert await problems(archive, run.name) != []
        copy_folder(store, copied)
        assert await problems(archive, run.name) == []


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Any, ArchiveReader]]:
    """A bucket with versions, and a run in it."""
    with s3_server(tmp_path) as server:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        archive = ArchiveReader(server.store(BUCKET))
        asyncio.run(tiny_run().publish(archive))
        yield client, archive


def restore_versions(client: Any, prefix: str) -> None:
    """As the page says: what came after the first version of each object goes, marks too."""
    found = client.list_object_versions(Bucket=BUCKET, Prefix=prefix)
    first: dict[str, str] = {}
    for version in found.get("Versions", []):  # the newest first
        first[version["Key"]] = version["VersionId"]
    for version in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        key, number = version["Key"], version["VersionId"]
        if first.get(key) != number or key.endswith("/deleted.json"):
            client.delete_object(Bucket=BUCKET, Key=key, VersionId=number)


def test_what_was_replaced_comes_back(bucket: tuple[Any, ArchiveReader]) -> None:
    """`verify` names the object; its first version is what was published."""
    client, archive = bucket
    path = names.model_path("tiny", 10)
    client.put_object(Bucket=BUCKET, Key=path, Body=b"something else")
    assert path in str(asyncio.run(problems(archive, "tiny")))
    restore_versions(client, path)
    assert asyncio.run(problems(archive, "tiny")) == []


def test_a_deleted_run_comes_back(bucket: tuple[Any, ArchiveReader]) -> None:
    """While its versions are there."""
    client, archive = bucket
    before = asyncio.run(archive.run("tiny"))
    client.put_object(Bucket=BUCKET, Key=names.tombstone_path("tiny"), Body=b"{}")
    for item in list(listed(client, BUCKET)):
        if not item["Key"].endswith("/deleted.json"):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
    assert asyncio.run(archive.runs()) == []
    restore_versions(client, names.run_prefix("tiny") + "/")
    assert asyncio.run(archive.runs()) == ["tiny"]
    assert asyncio.run(archive.run("tiny")) == before
    assert asyncio.run(problems(archive, "tiny")) == []
