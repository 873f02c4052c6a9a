"""Object storage in the clouds: their own variables, and faults told by their cause.

A real S3 server where there is one; elsewhere a server that notes what it is asked.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from grokprobe.errors import SettingError, StoreUnavailable
from grokprobe.settings import Settings
from grokprobe.store.archive.opening import CLIENT_OPTIONS, open_store
from grokprobe.store.archive.reader import ArchiveReader
from service.telemetry.tracing import traced_by
from tests.support.stores import s3_bucket, s3_endpoint, with_loop

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
SECRETS = ("AKIDEXAMPLE", "wJalrXUtnFEMI", "sessiontoken", "signature", "password")
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=signature"}
GOOGLE = {"GOOGLE_SKIP_SIGNATURE": "true"}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of a cloud or of a proxy but those of the test."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def opened(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], url: str = "s3://bucket/prefix"
) -> ArchiveReader:
    """The archive that these variables name, given up at the first failure."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("grokprobe.store.archive.opening.RETRIES", {"max_retries": 0})
    return ArchiveReader(open_store(Settings(store_url=url)))


@contextmanager
def noting(status: int = 404, body: bytes = b"") -> Iterator[tuple[str, list[Any]]]:
    """The address of a server that answers all alike, and what it was asked: path and headers."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, dict(self.headers)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


# -- variables -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"])
@with_loop
async def test_a_server_of_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A real S3 server, without TLS where that is allowed, is written to and read from."""
    variables = {**KEYS, name: s3_endpoint(), "AWS_ALLOW_HTTP": "true"}
    archive = opened(monkeypatch, variables, f"s3://{s3_bucket()}/prefix")
    assert await archive.objects.create("runs/x", b"data") is None
    assert await archive.objects.read("runs/x") == b"data"
    assert await archive.objects.below("runs") == ["runs/x"]


@pytest.mark.parametrize(
    ("url", "variables", "name", "permission"),
    [
        ("s3://b", KEYS, "AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
        ("s3://b", KEYS, "AWS_ENDPOINT", "AWS_ALLOW_HTTP"),
        ("s3://b", KEYS, "AWS_ENDPOINT_URL_S3", "AWS_ALLOW_HTTP"),
        ("gs://b", GOOGLE, "GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP"),
        ("az://b", AZURE, "AZURE_STORAGE_ENDPOINT", "AZURE_ALLOW_HTTP"),
        ("az://b", AZURE, "AZURE_ENDPOINT", "AZURE_ALLOW_HTTP"),
    ],
)
@with_loop
async def test_http_must_be_allowed(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    variables: dict[str, str],
    name: str,
    permission: str,
) -> None:
    """By the cloud's own variable, which the refusal names; then it is asked."""
    with noting() as (address, asked):
        wanted = variables | {name: address}
        for allowed in ({}, {permission: "false"}):
            with pytest.raises(SettingError, match=f"^{name}: .*; set {permission}=true"):
                opened(monkeypatch, wanted | allowed, url)
        assert await opened(monkeypatch, wanted | {permission: "1"}, url).objects.read("x") is None
        assert len(asked) == 1


@pytest.mark.parametrize("value", [":::", "http://[", "no proxy"])
def test_a_proxy_that_is_none_is_blamed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The library says "builder error" and no more: the variable is named all the same."""
    for name, proxy in {**KEYS, "AWS_PROXY_URL": value}.items():
        monkeypatch.setenv(name, proxy)
    with pytest.raises(SettingError, match=r"^AWS_PROXY_URL: cannot be used: "):
        open_store(Settings(store_url="s3://b"))


@pytest.mark.parametrize(
    "endpoint", ["", "localhost:9000", "ftp://host", "http://", "https://host:99999", "https://h:0"]
)
@pytest.mark.parametrize(
    ("url", "name"),
    [("s3://b", "AWS_ENDPOINT_URL"), ("gs://b", "GOOGLE_BASE_URL"), ("az://b", "AZURE_ENDPOINT")],
)
def test_an_address_that_is_none_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str, endpoint: str
) -> None:
    """The library would panic at the first request."""
    with pytest.raises(SettingError, match=rf"^{name}: .* is not http\(s\)://HOST:PORT"):
        opened(monkeypatch, {**KEYS, **AZURE, name: endpoint}, url)


def test_no_password_in_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, and not shown."""
    for variables, url in (
        ({"AWS_ENDPOINT_URL": "https://user:password@host"}, "s3://bucket"),
        ({}, "s3://user:password@bucket"),
    ):
        with pytest.raises(SettingError, match="holds a name or a password") as failure:
            opened(monkeypatch, KEYS | variables, url)
        assert "user" not in str(failure.value)


def test_two_servers_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours and the environment's must be the same: either would win without a word."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://one")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert open_store(Settings(store_url="s3://bucket", s3_endpoint="https://one"))
    with pytest.raises(SettingError, match=r"^AWS_ENDPOINT_URL_S3: .* GROKPROBE_S3_ENDPOINT"):
        open_store(Settings(store_url="s3://bucket", s3_endpoint="https://two"))


@pytest.mark.parametrize(
    ("variables", "path", "headers"),
    [
        ({"AWS_REGION": "eu-north-1"}, "/bucket/prefix/x", {"Authorization": "/eu-north-1/s3/"}),
        ({"AWS_DEFAULT_REGION": "ap-east-1"}, "/bucket/", {"Authorization": "/ap-east-1/s3/"}),
        ({"AWS_SESSION_TOKEN": "tok"}, "/bucket/", {"X-Amz-Security-Token": "tok"}),
        ({"AWS_USER_AGENT": "someone/1"}, "/bucket/", {"User-Agent": "someone/1"}),
        ({"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}, "/prefix/x", {}),
        ({"AWS_SKIP_SIGNATURE": "true"}, "/bucket/prefix/x", {"Authorization": None}),
    ],
)
@with_loop
async def test_other_variables_reach_the_request(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    path: str,
    headers: dict[str, str | None],
) -> None:
    """Whether the library reads them itself or its client needs them from us."""
    with noting() as (address, asked):
        wanted = {**KEYS, "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", **variables}
        assert await opened(monkeypatch, wanted).objects.read("x") is None
    [(asked_path, found)] = asked
    lower = {name.lower(): value for name, value in found.items()}
    assert asked_path.startswith(path)
    for name, part in headers.items():
        there = lower.get(name.lower())
        assert there is None if part is None else part in (there or "")


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize("name", sorted(CLIENT_OPTIONS))
def test_each_option_of_the_client_is_taken(
    monkeypatch: pytest.MonkeyPatch, scheme: str, name: str
) -> None:
    """In upper and in lower case, as the library takes them."""
    values = {"http2_max_frame_size": "20000", "pool_max_idle_per_host": "3"}
    words = {"default_content_type": "a/b", "proxy_url": "http://proxy", "user_agent": "someone"}
    times = "5s" if "timeout" in name or "interval" in name else "true"
    value = (values | words).get(name, times)
    prefix = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}[scheme]
    for variable in (prefix + name.upper(), prefix + name):
        variables = {**KEYS, **AZURE, variable: value}
        assert opened(monkeypatch, variables, f"{scheme}://bucket") is not None


def test_a_value_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library quotes the value; a person wants to know the variable."""
    for name in ("AWS_ALLOW_HTTP", "AWS_SKIP_SIGNATURE", "AWS_CHECKSUM_ALGORITHM"):
        with pytest.raises(SettingError, match=f"^{name}: cannot be used: .*perhaps"):
            opened(monkeypatch, {**KEYS, name: "perhaps"})
        monkeypatch.delenv(name)


@with_loop
async def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not reached from here is asked through it."""
    bucket = s3_bucket()
    variables = {
        **KEYS,
        "AWS_ENDPOINT_URL": "http://s3.us-east-1.amazonaws.com",
        "AWS_ALLOW_HTTP": "true",
        "HTTP_PROXY": s3_endpoint(),
    }
    archive = opened(monkeypatch, variables, f"s3://{bucket}")
    assert await archive.objects.create("x", b"data") is None
    listing = httpx.get(f"{s3_endpoint()}/{bucket}", trust_env=False)
    assert "<Key>x</Key>" in listing.text


@with_loop
async def test_no_proxy(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    """The hosts that it names are asked directly."""
    with noting() as (address, asked):
        variables = {**KEYS, "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
        variables["HTTP_PROXY"] = f"http://127.0.0.1:{closed_port}"
        with pytest.raises(StoreUnavailable, match="Connection refused"):
            await opened(monkeypatch, variables).objects.read("x")
        variables["NO_PROXY"] = "127.0.0.1"
        assert await opened(monkeypatch, variables).objects.read("x") is None
        assert len(asked) == 1


# -- faults ----------------------------------------------------------------------------------------


async def fault(archive: ArchiveReader) -> StoreUnavailable:
    """What reading, listing and writing say alike."""
    for use in (archive.objects.below("runs"), archive.objects.replace("runs/x", b"")):
        with pytest.raises(StoreUnavailable):
            await use
    with pytest.raises(StoreUnavailable) as failure:
        await archive.objects.read("runs/x")
    for secret in SECRETS:
        assert secret not in failure.value.told
    assert failure.value.__cause__ is None
    assert "\n" not in failure.value.told
    return failure.value


def answer(code: str) -> bytes:
    """An answer of S3, which repeats what was asked, secrets and all."""
    repeated = "AKIDEXAMPLE x-amz-security-token:sessiontoken"
    return f"<Error><Code>{code}</Code><Message>{repeated}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (404, "NoSuchBucket", "there is no such bucket (404 NoSuchBucket)"),
        (404, "ContainerNotFound", "there is no such bucket (404 ContainerNotFound)"),
        (403, "AccessDenied", "access is denied (403 AccessDenied)"),
        (403, "InvalidAccessKeyId", "the credentials are not accepted (403 InvalidAccessKeyId)"),
        (403, "SignatureDoesNotMatch", "the credentials are not accepted (403 SignatureDoe"),
        (400, "ExpiredToken", "the credentials have expired (400 ExpiredToken)"),
        (403, "RequestTimeTooSkewed", "the clock of this machine is wrong (403 Request"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (401, "Unheard", "the credentials are not accepted (401 Unheard)"),
        (403, "", "access is denied (403)"),
        (500, "InternalError", "it answered 500 InternalError"),
        (503, "SlowDown", "it asks for fewer requests (503 SlowDown)"),
    ],
)
@with_loop
async def test_an_answer_that_refuses(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, cause: str
) -> None:
    """Its status and code with their meaning; the address in `told` alone; never its body."""
    with noting(status, answer(code) if code else b"") as (address, _):
        variables = {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
        token = {"AWS_SESSION_TOKEN": "sessiontoken"}
        failure = await fault(opened(monkeypatch, {**KEYS, **token, **variables}))
    assert str(failure).startswith(f"object storage cannot read: {cause}")
    assert f"{address}/bucket/prefix/runs/x" in failure.told
    assert not {"127.0.0.1", "bucket/", "prefix", "runs/x"} & set(str(failure).split())


@with_loop
async def test_traces_hold_no_words_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span has the error as it leaves us."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with noting(403, answer("SignatureDoesNotMatch")) as (address, _), traced_by(provider):
        variables = {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
        await fault(opened(monkeypatch, KEYS | variables))
    found = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "the credentials are not accepted" in found
    assert not [secret for secret in SECRETS if secret in found]


@pytest.mark.parametrize(
    ("url", "variables", "cause", "place"),
    [
        (
            "s3://bucket",
            {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"},
            "Connection refused",
            "http://127.0.0.1:{port}/bucket/runs/x",
        ),
        (
            "s3://bucket",
            {**KEYS, "AWS_ENDPOINT_URL": "https://nobody.invalid"},
            "its host name is not known",
            "https://nobody.invalid/bucket/runs/x",
        ),
        (
            "az://container",
            {**AZURE, "AZURE_ENDPOINT": "http://127.0.0.1:{port}", "AZURE_ALLOW_HTTP": "true"},
            "Connection refused",
            "container at http://127.0.0.1:{port}",
        ),
        (
            "gs://bucket",
            {**GOOGLE, "GOOGLE_BASE_URL": "http://127.0.0.1:{port}", "GOOGLE_ALLOW_HTTP": "true"},
            "Connection refused",
            "http://127.0.0.1:{port}/bucket/runs",
        ),
    ],
)
@with_loop
async def test_a_server_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
    closed_port: int,
    url: str,
    variables: dict[str, str],
    cause: str,
    place: str,
) -> None:
    """By its cause; a token in the query of an address is not told."""
    variables = {name: value.format(port=closed_port) for name, value in variables.items()}
    failure = await fault(opened(monkeypatch, variables, url))
    assert str(failure) == f"object storage cannot read: {cause}"
    assert place.format(port=closed_port) in failure.told


@with_loop
async def test_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up after the time that the environment's own variable gives."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        times = {"AWS_TIMEOUT": "200ms", "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
        failure = await fault(opened(monkeypatch, {**KEYS, **times}))
    assert str(failure) == "object storage cannot read: no answer in time"


@with_loop
async def test_tls_to_a_server_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """As people write https:// before the address of a MinIO without certificates."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    address = s3_endpoint().replace("http:", "https:")
    failure = await fault(opened(monkeypatch, {**KEYS, "AWS_ENDPOINT_URL": address}))
    assert str(failure) == "object storage cannot read: it does not speak TLS"


@with_loop
async def test_a_bucket_that_is_not_there_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real server: also where the answer to a missing object would be none."""
    variables = {**KEYS, "AWS_ENDPOINT_URL": s3_endpoint(), "AWS_ALLOW_HTTP": "true"}
    archive = opened(monkeypatch, variables, "s3://no-such-bucket/prefix")
    failure = await fault(archive)
    assert str(failure) == (
        "object storage cannot read: there is no such bucket (404 NoSuchBucket)"
    )
    for use in (archive.objects.exists("runs/x"), archive.run("x")):
        with pytest.raises(StoreUnavailable, match="there is no such bucket"):
            await use
