"""Object storage that takes connections and never answers: an honest 503, soon."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from grokprobe.settings import Settings
from grokprobe.store.archive.objects import AT_ONCE
from grokprobe.store.archive.opening import READING, WRITING, open_store
from grokprobe.store.archive.reader import ArchiveReader
from tests.support.forwarding import Forwarder
from tests.support.served import PATIENCE_S, Served, eventually, serving
from tests.support.stores import s3_bucket, s3_endpoint
from tests.support.tiny import tiny_run

LIMIT_S = 5
STEPS = range(80)
RUN = "/v1/runs/tiny"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "test"}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Forwarder]]:
    """A service whose object storage, a real S3 server, is behind a proxy; nothing is loaded."""
    bucket, home = s3_bucket(), tmp_path_factory.mktemp("home")
    proxy = Forwarder(urlsplit(s3_endpoint()).port or 0)
    with pytest.MonkeyPatch.context() as patch, proxy.listening() as port:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        settings = Settings(
            home=str(home), store_url=f"s3://{bucket}", s3_endpoint=f"http://127.0.0.1:{port}"
        )
        asyncio.run(_publish(settings))
        with serving(settings, home) as served:
            yield served, proxy


async def _publish(settings: Settings) -> None:
    await tiny_run(steps=STEPS).publish(ArchiveReader(open_store(settings)))


def test_the_bounds() -> None:
    """A silence costs a request less than the limit; uploads and large models have longer."""
    assert READING.silent_s < LIMIT_S < WRITING.silent_s


@pytest.mark.parametrize(
    "path",
    [
        "{}/predictions?a=1&b=2",
        "{}/logits",
        "{}/embedding",
        "{}/spectrum",
        "{}/measures",
        "{}/neurons",
        "{}/model.onnx",
        "{}/weights",
    ],
)
def test_a_cold_read_is_503(proxied: tuple[Served, Forwarder], path: str) -> None:
    """With Retry-After, and without the address; what needs no storage goes on."""
    served, proxy = proxied
    proxy.silence()
    try:
        answer = served.client.get(path.format(f"{RUN}/checkpoints/3"))
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "no answer in time" in answer.json()["detail"]
        assert served.client.get(RUN).status_code == 200
    finally:
        proxy.speak()
    url = f"{RUN}/checkpoints/3"
    assert eventually(lambda: served.client.get(f"{url}/weights").status_code == 200)


def test_many_cold_reads_do_not_wait_for_each_other(proxied: tuple[Served, Forwarder]) -> None:
    """Those that find no thread are refused as soon as the first were not answered."""
    served, proxy = proxied
    before = proxy.carried
    proxy.silence()

    async def ask() -> list[int]:
        async with httpx.AsyncClient(base_url=served.url, timeout=PATIENCE_S) as client:
            asked = (client.get(f"{RUN}/checkpoints/{step}/model.onnx") for step in STEPS)
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    try:
        assert set(asyncio.run(ask())) == {503}
    finally:
        proxy.speak()
    assert proxy.carried - before <= 2 * AT_ONCE < len(STEPS)
