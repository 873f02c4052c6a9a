"""What a Redis URL may say, and which servers it may name: real ones, of every kind."""

from pathlib import Path

import pytest
from redis import Redis

from grokprobe.errors import CatalogueUnavailable, SettingError
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.clients import connect_reader, connect_redis
from grokprobe.store.catalogue.embedded.server import embedded_redis
from grokprobe.store.catalogue.events import BEGINNING, EventReader
from tests.support.redis_servers import redis_server
from tests.support.stores import with_loop

PASSWORD = "a:/?#[]@%25 é"
ENCODED = "a%3A%2F%3F%23%5B%5D%40%2525%20%C3%A9"

# Every argument of the library's connections that a query could set, but for those of the list.
NOT_FOR_URLS = [
    "client_name",
    "credential_provider",
    "decode_responses",
    "driver_info",
    "encoder_class",
    "encoding",
    "encoding_errors",
    "event_dispatcher",
    "health_check_interval",
    "host",
    "legacy_responses",
    "lib_name",
    "lib_version",
    "max_connections",
    "parser_class",
    "path",
    "port",
    "protocol",
    "redis_connect_func",
    "retry",
    "retry_on_error",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_read_size",
    "socket_timeout",
    "socket_type",
    "ssl_include_verify_flags",
    "timeout",
    "unknown",
    "DB",
]


def refusal(url: str) -> str:
    """The message about a URL."""
    with pytest.raises(SettingError, match=r"^GROKPROBE_REDIS_URL: ") as failure:
        connect_redis(url)
    return str(failure.value)


@pytest.mark.parametrize("scheme", ["redis://:secret@host", "rediss://host", "unix:///socket"])
@pytest.mark.parametrize("name", NOT_FOR_URLS)
def test_an_option_that_is_not_for_urls_is_named(scheme: str, name: str) -> None:
    """With those that are; whatever its value, also none."""
    for query in (f"{name}=1", f"db=1&{name}=true", f"{name}="):
        message = refusal(f"{scheme}?{query}")
        assert f"has an option {name}; a {scheme.partition(':')[0]}:// URL may have db," in message
        assert "secret" not in message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://host?ssl_ca_certs=x", "has an option ssl_ca_certs; a redis:// URL may have db"),
        ("redis://host?db=1&db=2", "has the option db 2 times"),
        ("redis://host?db=-1", "db that is not a number"),
        ("redis://host?db=", "db that is not a number"),
        ("unix:///socket?db=first", "db that is not a number"),
        ("redis://host/first", "redis://HOST:PORT/DB"),
        ("redis://host/1/2", "redis://HOST:PORT/DB"),
        ("redis://host:0", "redis://HOST:PORT/DB"),
        ("unix://socket", "unix:///PATH"),
        ("redis://:se?cret@host", "%XX"),
        ("redis://:se#cret@host", "%XX"),
        ("redis://:se/cret@host", "%XX"),
        ("redis://host?cret@host=1", "has an option that is no word"),
        ("rediss://host?ssl_min_version=new", "rediss://HOST"),
        ("valkey://host", "redis://HOST:PORT/DB"),
        ("redis://one:6379,two:6379", "names several servers"),
        ("redis+sentinel://host:26379/mymaster", "SENTINEL"),
        ("redis-sentinel://host", "SENTINEL"),
        ("rediss+sentinel://host", "SENTINEL"),
        ("sentinel://host", "SENTINEL"),
        ("redis+cluster://host:6379", "CLUSTER"),
        ("rediss+cluster://host", "CLUSTER"),
        ("redis-cluster://one,two", "CLUSTER"),
        ("REDIS-CLUSTER://host", "CLUSTER"),
    ],
)
def test_a_url_that_says_something_else_is_refused(url: str, words: str) -> None:
    """By name where it has one, with what to do."""
    named = {
        "SENTINEL": "a Redis Sentinel holds no data: name the server that it watches",
        "CLUSTER": "a Redis Cluster cannot hold the index, one server can: name a Redis",
    }
    message = refusal(url)
    assert named.get(words, words) in message
    assert "cret" not in message


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://localhost/",
        "redis://[::1]:6379/3",
        "redis://user:pass@host?db=2",
        "unix:///a/socket?db=2&username=u&password=p",
        "rediss://host/1?ssl_cert_reqs=none&ssl_check_hostname=false&ssl_min_version=771",
        "rediss://host?ssl_ca_certs=/ca.pem&ssl_certfile=/c&ssl_keyfile=/k&ssl_password=p",
    ],
)
def test_what_a_url_may_say(url: str) -> None:
    """Nothing is connected."""
    assert connect_redis(url) is not None


@pytest.mark.parametrize("how", ["in front", "as options"])
@with_loop
async def test_a_password_of_any_characters(tmp_path: Path, how: str) -> None:
    """Percent-encoded once, in front of the host or as an option, for requests and for events."""
    with redis_server(tmp_path) as port:
        with Redis(port=port) as admin:
            admin.acl_setuser(
                "someone", True, passwords=[f"+{PASSWORD}"], commands=["+@all"], keys="*"
            )
            admin.config_set("requirepass", "x")
        place = f"127.0.0.1:{port}/4"
        url = f"redis://someone:{ENCODED}@{place}"
        if how == "as options":
            url = f"redis://{place}?username=someone&password={ENCODED}"
        catalogue, reader = Catalogue(connect_redis(url)), EventReader(connect_reader(url))
        await catalogue.initialise()
        assert await catalogue.usable()
        assert await reader.after(BEGINNING, 0) == []
        await catalogue.connection.aclose()
        await reader.aclose()
        with Redis(port=port, db=4, password="x") as admin:
            assert admin.keys() == [b"grokprobe:ready"]


@with_loop
async def test_a_socket_with_a_database(tmp_path: Path) -> None:
    """`unix://` takes `db`."""
    with embedded_redis(tmp_path) as socket:
        catalogue = Catalogue(connect_redis(f"unix://{socket}?db=7"))
        await catalogue.initialise()
        await catalogue.connection.aclose()
        with Redis(unix_socket_path=str(socket), db=7) as admin:
            assert admin.keys() == [b"grokprobe:ready"]


@pytest.mark.parametrize("database", ["", "/0", "/3"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [("cluster", "a Redis Cluster cannot"), ("sentinel", "a Redis Sentinel holds no data")],
)
@with_loop
async def test_a_server_that_is_not_one_is_refused_by_name(
    tmp_path: Path, kind: str, words: str, database: str
) -> None:
    """At the start; where it took the place of another later, at every use, also of events."""
    with redis_server(tmp_path, kind) as port:
        url = f"redis://127.0.0.1:{port}{database}"
        with pytest.raises(SettingError, match=f"^GROKPROBE_REDIS_URL: {words}"):
            async with open_backends(Settings(home=str(tmp_path), redis_url=url)):
                pass
        catalogue, reader = Catalogue(connect_redis(url)), EventReader(connect_reader(url))
        for use in (catalogue.usable(), catalogue.runs(), reader.after(BEGINNING, 0.1)):
            with pytest.raises(CatalogueUnavailable, match=f"^{words}"):
                await use
        await catalogue.connection.aclose()
        await reader.aclose()


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("redis://user:secret@127.0.0.1:{port}", "Connection refused"),
        ("redis://:secret@localhost:{port}", "Connection refused"),
        ("redis://:secret@nobody.invalid", "its host name is not known"),
        ("unix://:secret@/no/where", "No such file or directory"),
    ],
)
@with_loop
async def test_a_fault_names_its_address_to_the_log_alone(
    closed_port: int, url: str, cause: str
) -> None:
    """The message has the cause, `told` the address too; no secret is in either."""
    catalogue = Catalogue(connect_redis(url.format(port=closed_port)))
    with pytest.raises(CatalogueUnavailable) as failure:
        await catalogue.runs()
    await catalogue.connection.aclose()
    assert str(failure.value) == f"Redis does not answer: {cause}"
    place = url.format(port=closed_port).replace("user:secret@", "").replace(":secret@", "")
    assert place.removeprefix("redis://") in failure.value.told
    assert "secret" not in failure.value.told
