"""Hosts as people write them: which are read, whom they reach, what listens, what is printed."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grokprobe.addresses import http_url, is_loopback, listen, parse_host
from grokprobe.errors import SettingError
from grokprobe.settings import Settings, read_settings
from tests.support.served import free_port, needs_ipv6

PORT = "GROKPROBE_PORT"


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("my_service.lab.example", "my_service.lab.example"),
        ("::", "::"),
        ("[::]", "::"),
        ("[::1]", "::1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
    ],
)
def test_what_a_host_is(given: str, host: str) -> None:
    """An address or a name; brackets are taken off."""
    assert parse_host(given) == read_settings({"GROKPROBE_HOST": given}).host == host


@pytest.mark.parametrize(
    "given",
    [
        *("", " ", "*", " ::1", "a b", "http://localhost", "localhost/", "me@localhost", "a,b"),
        *("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "::1]", "[::1", "[]", "[127.0.0.1]"),
        *(":", ":::", "::1::", "12345::", "fe80::1%", "1:2:3"),
    ],
)
def test_what_no_host_is(given: str) -> None:
    """The refusal names the variable and says what to write."""
    with pytest.raises(
        SettingError, match=r"^GROKPROBE_HOST: .*127\.0\.0\.1.*::1.*port, got "
    ) as e:
        read_settings({"GROKPROBE_HOST": given})
    assert str(e.value).endswith(repr(given))


@given(st.text(alphabet="0123456789abcdefxL.:%[]-_ é", max_size=24))
def test_any_text_is_a_host_or_is_refused(text: str) -> None:
    """Nothing else happens; what was read is read again as itself, and stands well in a URL."""
    try:
        host = parse_host(text)
    except SettingError:
        return
    assert parse_host(host) == host
    assert isinstance(is_loopback(host), bool)
    authority = http_url(host, 8000).removeprefix("http://").removesuffix(":8000")
    assert authority in (host, f"[{host}]")
    assert (":" in host) == authority.startswith("[")


LOOPBACK = [
    "127.0.0.1",
    "127.1.2.3",
    "127.1",
    "localhost",
    "LocalHost",
    "localhost.",
    "a.localhost",
]
LOOPBACK_6 = ["::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "[::FFFF:7f00:1]", "::1%1"]
OTHERS = ["0.0.0.0", "0", "::", "[::]", "::ffff:0.0.0.0", "::ffff:10.0.0.1", "fe80::1", "10.0.0.1"]
NAMES = ["notlocalhost", "localhost.example", "grokprobe.example", "1.localhost.example", "a..b"]


@pytest.mark.parametrize("host", [*LOOPBACK, *LOOPBACK_6])
def test_only_this_machine_reaches_loopback(host: str) -> None:
    """In any spelling."""
    assert Settings(host=host).on_loopback


@pytest.mark.parametrize("host", [*OTHERS, *NAMES])
def test_others_may_reach_the_rest(host: str) -> None:
    """Any other address, and any name: what it means is another's decision."""
    assert not Settings(host=host).on_loopback


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost:8000"),
        ("::", "http://[::]:8000"),
        ("[::1]", "http://[::1]:8000"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:8000"),
    ],
)
def test_urls_have_brackets(host: str, url: str) -> None:
    """Where a colon would be read as the port's."""
    assert Settings(host=host).url == url


@contextmanager
def listening(host: str) -> Iterator[tuple[int, list[str]]]:
    """A port on which a host listens, and the addresses of its sockets."""
    port = free_port()
    with ExitStack() as opened:
        listeners = [opened.enter_context(found) for found in listen(host, port, PORT)]
        yield port, [listener.getsockname()[0] for listener in listeners]


def reached(port: int) -> set[str]:
    """The loopback addresses that answer on a port."""
    found = set()
    for address in ("127.0.0.1", "127.0.0.2", "::1"):
        try:
            socket.create_connection((address, port)).close()
        except OSError:
            continue
        found.add(address)
    return found


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("::", {"127.0.0.1", "127.0.0.2", "::1"}),
        ("0.0.0.0", {"127.0.0.1", "127.0.0.2"}),
        ("127.0.0.2", {"127.0.0.2"}),
        ("::1", {"::1"}),
        ("::ffff:127.0.0.1", {"127.0.0.1"}),
        ("localhost", {"127.0.0.1", "::1"}),
        ("LOCALHOST.", {"127.0.0.1", "::1"}),
    ],
)
def test_every_address_of_a_host_answers(host: str, answers: set[str]) -> None:
    """And no other."""
    with listening(host) as (port, _):
        assert reached(port) == answers


def test_a_name_is_all_its_addresses() -> None:
    """This machine's own, as its resolver has it."""
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
        for family, *_, address in found:
            socket.create_server(address, family=family).close()
    except OSError:
        pytest.skip(f"the name of this machine, {name}, is no address of it")
    with listening(name) as (_, addresses):
        assert addresses == list(dict.fromkeys(entry[4][0] for entry in found))


@pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1", "a..b", "x" * 64])
def test_no_address_here(host: str) -> None:
    """What is not this machine's, or nobody's, names GROKPROBE_HOST."""
    with pytest.raises(SettingError, match=r"^GROKPROBE_HOST: cannot listen on .*; it is no "):
        listen(host, free_port(), PORT)


@needs_ipv6
@pytest.mark.parametrize(("first", "second"), [("::1", "localhost"), ("127.0.0.1", "::")])
def test_a_port_in_use(first: str, second: str) -> None:
    """On one of the addresses is enough; it names the port's own variable, and nothing listens."""
    with listening(first) as (port, _):
        with pytest.raises(SettingError, match=rf"^X_PORT: cannot listen on http://.*:{port} "):
            listen(second, port, "X_PORT")
        assert reached(port) == {first}
