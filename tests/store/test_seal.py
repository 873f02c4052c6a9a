"""What proves a run's records: any loss or change is told, no order is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.errors import IndexDoubted
from grokprobe.store.archive.contents import Contents, manifests_sha256, read_contents
from grokprobe.store.archive.seal import decode_seal, digest_of, encode_seal
from grokprobe.store.catalogue import keys as index
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.decoding import decode_record
from grokprobe.store.records import Completion, encode_record, sha256
from tests.support.stores import backends, with_loop
from tests.support.tiny import again, index_run, stored, tiny_run

TINY = tiny_run()
MANIFESTS = [manifest for manifest, _ in TINY.checkpoints]
WHOLE = Contents(
    run=stored(TINY.manifest),
    completion=stored(TINY.completion),
    checkpoints={manifest.step: stored(manifest) for manifest in MANIFESTS},
    problems=[],
)
DIGESTS = st.dictionaries(st.integers(0, 10**10), st.binary(max_size=8).map(sha256), max_size=8)


@given(DIGESTS, st.randoms())
def test_checkpoints_may_come_in_any_order(digests: dict[int, str], random: object) -> None:
    """One after the other, and all at once: the same seal; another set has another digest."""
    bare = msgspec.structs.replace(
        WHOLE.seal, count=0, digest=digest_of({}), latest=None, latest_sha256=None
    )
    steps = list(digests)
    random.shuffle(steps)  # type: ignore[attr-defined]
    seal = bare
    for step in steps:
        seal = seal.with_checkpoint(step, digests[step])
    last = max(steps, default=-1)
    assert (seal.count, seal.digest) == (len(digests), digest_of(digests))
    assert (seal.latest, seal.latest_sha256) == ((last, digests[last]) if steps else (None, None))
    for step in steps:
        rest = {s: d for s, d in digests.items() if s != step}
        changed = {**digests, step: sha256(b"something else entirely")}
        assert len({digest_of(rest), digest_of(changed), seal.digest}) == 3


def test_every_part_is_in_the_seal() -> None:
    """Another record, or one that is missing or broken, makes another seal."""
    replace = msgspec.structs.replace
    other = stored(replace(MANIFESTS[1], measures={}))
    fields = {"run": WHOLE.run, "completion": WHOLE.completion, "checkpoints": WHOLE.checkpoints}
    changes: list[dict[str, object]] = [
        {},
        {"run": stored(replace(TINY.manifest, seed=9))},
        {"completion": None},
        {"completion": stored(replace(TINY.completion, reason="x"))},
        {"checkpoints": {**WHOLE.checkpoints, 10: other}},
        {"checkpoints": {**WHOLE.checkpoints, 10: None}},
        {"checkpoints": {0: WHOLE.checkpoints[0], 10: WHOLE.checkpoints[10]}},
    ]
    seals = [Contents(**{**fields, **change}, problems=[]).seal for change in changes]  # type: ignore[arg-type]
    assert len({encode_seal(seal) for seal in seals}) == len(changes)
    assert [decode_seal(encode_seal(seal)) for seal in seals] == seals


@given(st.binary(max_size=40) | st.just(b"[" * 100_000))
def test_what_is_no_seal_is_none(data: bytes) -> None:
    """Whatever lies there: never an error."""
    assert decode_seal(data) is None


def test_the_digest_over_all_manifests_is_that_of_the_docs() -> None:
    """SHA-256 of the lines `STEP SHA256`, by step."""
    lines = [f"{m.step} {sha256(encode_record(m))}\n" for m in MANIFESTS]
    assert TINY.completion.manifests_sha256 == sha256("".join(lines).encode())
    backwards = dict(reversed(list(WHOLE.checkpoints.items())))
    assert manifests_sha256(backwards) == TINY.completion.manifests_sha256


@with_loop
async def test_a_completion_of_an_older_trainer(tmp_path: Path) -> None:
    """Without the field it is read, and its publication may be repeated by a newer one."""
    async with backends(tmp_path) as (opened, _):
        older = msgspec.structs.replace(TINY.completion, manifests_sha256=None)
        data = encode_record(older).replace(b',\n "manifests_sha256": null', b"")
        assert b"manifests" not in data
        assert decode_record(data, Completion, "here") == older
        await opened.publisher.publish_run(TINY.manifest, TINY.train_mask)
        await opened.archive.objects.create("runs/tiny/complete.json", data)
        assert await opened.publisher.publish_completion(again(TINY).completion) == older


Step = Callable[[Catalogue], Awaitable[object]]


@with_loop
async def test_a_writer_notices_what_the_entry_has_lost(tmp_path: Path) -> None:
    """A checkpoint is added to an entry that is whole and as it was left, and to no other."""
    async with backends(tmp_path) as (opened, client):
        catalogue, checkpoints = opened.catalogue, index.key("tiny", "checkpoints")
        with pytest.raises(IndexDoubted, match="unsealed"):
            await catalogue.add_checkpoint(MANIFESTS[0])
        await index_run(catalogue, TINY.manifest)
        await catalogue.add_checkpoint(MANIFESTS[0])
        older = await client.get(index.key("tiny", "seal")) or ""
        await catalogue.add_checkpoint(MANIFESTS[1])
        await client.hdel(checkpoints, "10")
        with pytest.raises(IndexDoubted, match="damaged"):
            await catalogue.add_checkpoint(MANIFESTS[2])
        await client.set(index.key("tiny", "seal"), older)  # as a copy from before has it
        with pytest.raises(IndexDoubted, match="changed"):
            await catalogue.add_checkpoint(MANIFESTS[2])


@with_loop
async def test_of_many_writers_none_loses_a_checkpoint(tmp_path: Path) -> None:
    """A trainer adds while others make the entry equal to listings, old ones too."""
    async with backends(tmp_path) as (opened, _):
        steps = list(range(0, 60, 2))
        run = tiny_run(steps=steps)
        await opened.publisher.publish_run(run.manifest, run.train_mask)
        await opened.catalogue.reconcile(opened.archive, "tiny")

        async def repair() -> None:
            for _ in range(10):
                try:
                    await Catalogue(opened.catalogue.connection._client).repair_run(
                        opened.archive, "tiny"
                    )
                except IndexDoubted:
                    await asyncio.sleep(0)

        async def train() -> None:
            for manifest, model in run.checkpoints:
                await opened.publisher.publish_checkpoint(manifest, model)
                try:
                    await opened.catalogue.add_checkpoint(manifest)
                except IndexDoubted:
                    await opened.catalogue.repair_run(opened.archive, "tiny")

        await asyncio.gather(train(), repair(), repair())
        await opened.catalogue.repair_run(opened.archive, "tiny")
        found = await opened.catalogue.contents("tiny")
        assert list(found.checkpoints) == steps
        assert found.seal == (await read_contents(opened.archive, "tiny")).seal
