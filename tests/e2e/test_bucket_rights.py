"""The policies of docs/storage.md at a real S3 server: enough for everything, and no more."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from grokprobe.errors import StoreUnavailable
from grokprobe.store.archive import names
from grokprobe.store.archive.contents import read_contents
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.training_states import TrainingStates
from grokprobe.store.records import StateRecord, now, sha256
from tests.support.deployment import BUCKET
from tests.support.s3_servers import S3Server, s3_server
from tests.support.stores import with_loop
from tests.support.tiny import tiny_run

PAGE = (Path(__file__).parents[2] / "docs/storage.md").read_text()
LIFECYCLE, SERVICE, TRAINER, DELETER = re.findall(r"^```json\n(.*?)^```$", PAGE, re.M | re.DOTALL)
PREFIX = "some/prefix"


def policy(text: str, without: str = "") -> Any:
    """A policy of the page for the bucket of these tests, perhaps without one of its actions."""
    document = json.loads(
        text.replace("BUCKET/PREFIX", f"{BUCKET}/{PREFIX}").replace("BUCKET", BUCKET)
    )
    for statement in document["Statement"]:
        assert isinstance(statement["Action"], list)
        statement["Action"] = [action for action in statement["Action"] if action != without]
    document["Statement"] = [s for s in document["Statement"] if s["Action"]]
    return document


def actions(text: str) -> list[str]:
    """What a policy allows."""
    return sorted({a for statement in json.loads(text)["Statement"] for a in statement["Action"]})


# A key for each program, and for each one less of what its policy allows.
LESS = {
    f"{who}-without-{action[3:]}": policy(text, without=action)
    for who, text in (("service", SERVICE), ("trainer", TRAINER))
    for action in actions(text)
}
POLICIES = {
    "service": policy(SERVICE),
    "trainer": policy(TRAINER),
    "deleter": policy(DELETER),
    **LESS,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One for the rest of the file, with a run in it and a bucket of others."""
    with s3_server(tmp_path_factory.mktemp("s3"), policies=POLICIES) as found:
        client = found.client()
        for bucket in (BUCKET, "others"):
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="others", Body=b"others")
        asyncio.run(tiny_run().publish(archive(found, "trainer")))
        yield found


def archive(server: S3Server, key: str) -> ArchiveReader:
    """The bucket with the rights of a key."""
    return ArchiveReader(server.store(BUCKET, key, PREFIX))


OBJECT = f"{PREFIX}/{names.manifest_path('tiny', 0)}"
STATE = f"{PREFIX}/{names.training_state_path('tiny', 1, 0)}"
REFUSED = {
    "service replaces": ("service", "put_object", {"Key": OBJECT, "Body": b"x"}),
    "service creates": ("service", "put_object", {"Key": f"{OBJECT}.new", "Body": b"x"}),
    "service deletes": ("service", "delete_object", {"Key": OBJECT}),
    "service saves a state": ("service", "put_object", {"Key": STATE, "Body": b"x"}),
    "service deletes a state": ("service", "delete_object", {"Key": STATE}),
    "service begins an upload": ("service", "create_multipart_upload", {"Key": OBJECT}),
    "service reads beside it": ("service", "get_object", {"Key": "others"}),
    "service reads elsewhere": ("service", "get_object", {"Bucket": "others", "Key": "others"}),
    "service lists elsewhere": ("service", "list_objects_v2", {"Bucket": "others"}),
    "trainer deletes": ("trainer", "delete_object", {"Key": OBJECT}),
    "trainer writes beside it": ("trainer", "put_object", {"Key": "others", "Body": b"x"}),
    "trainer deletes beside it": ("trainer", "delete_object", {"Key": "others"}),
    "trainer changes the bucket": ("trainer", "delete_bucket", {}),
    "deleter deletes beside it": ("deleter", "delete_object", {"Key": "others"}),
}


@pytest.mark.parametrize(("key", "call", "arguments"), REFUSED.values(), ids=REFUSED)
def test_they_are_no_more(server: S3Server, key: str, call: str, arguments: dict[str, Any]) -> None:
    """What a program never does is refused to its key."""
    with pytest.raises(ClientError) as refused:
        getattr(server.client(key), call)(**{"Bucket": BUCKET, **arguments})
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def live(archive: ArchiveReader, run: str) -> None:
    """Read, publish, save a large state and a small one, clean up: what the programs do."""
    if run == "tiny":
        await archive.runs()
        await read_contents(archive, run)
        return
    await ArchivePublisher(archive).start_attempt(run)
    await tiny_run(run).publish(archive)
    states = TrainingStates(archive.objects)
    tensors = bytes(12 * 2**20)  # more than one request takes
    for slot, data in enumerate((tensors, b"small")):
        record = StateRecord(
            run=run,
            attempt=1,
            step=1,
            created_at=now(),
            sha256=sha256(data),
            bytes=len(data),
            environment={},
        )
        await states.save(record, data, slot)
    await states.clear(run)


@pytest.mark.parametrize("key", ["service", "trainer"])
@with_loop
async def test_each_has_all_that_it_needs(server: S3Server, key: str) -> None:
    """So that the next test fails by the missing action alone."""
    await live(archive(server, key), "tiny" if key == "service" else "other")


@pytest.mark.parametrize("key", [key for key in LESS if "Abort" not in key])
@with_loop
async def test_each_right_is_needed(server: S3Server, key: str) -> None:
    """Without any one of them it stops, and says why."""
    run = "tiny" if key.startswith("service") else key.lower()
    with pytest.raises(StoreUnavailable, match="access is denied"):
        await live(archive(server, key), run)


def test_the_lifecycle_is_one(server: S3Server) -> None:
    """The server takes the rules; none of them ends or moves what is published."""
    rules = json.loads(LIFECYCLE)["Rules"]
    client = server.client()
    client.put_bucket_versioning(Bucket="others", VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_lifecycle_configuration(
        Bucket="others", LifecycleConfiguration={"Rules": rules}
    )
    kept = client.get_bucket_lifecycle_configuration(Bucket="others")["Rules"]
    assert len(kept) == len(rules)
    ends = {"Days", "Date"} & {word for rule in rules for word in rule.get("Expiration", {})}
    assert ends == set()
    assert [rule for rule in rules if "Transitions" in rule] == []
