"""Where programs listen: hosts as people write them, whom they reach, sockets, and URLs.

A host is an address or a name. An IPv6 address may stand in brackets, as it does in a URL. `::` is
every address of the machine, of IPv4 too where the system can. A name is each address that it has;
`localhost` is both loopback addresses, whatever a resolver says of it (RFC 6761).
"""

import errno
import ipaddress
import os
import re
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from grokprobe.errors import SettingError

HOST = "GROKPROBE_HOST"
NAME = re.compile(r"[\w.-]+")  # or IPv4
LOOPBACK = ("127.0.0.1", "::1")
EXPECTED = "expected an address such as 127.0.0.1, 0.0.0.0, :: or ::1, or a name, without a port"
ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # IPv6 where the machine has none
TAKEN = (errno.EADDRINUSE, errno.EACCES)
MOST_PATH_BYTES = 100  # of a Unix socket: the limit is 108 on Linux and 104 elsewhere
NAMES_BYTES = 40  # of the folder that `new_socket_folder` makes and of a socket in it


def parse_host(text: str) -> str:
    """A host, without brackets. Raises SettingError for what is none."""
    bracketed = re.fullmatch(r"\[(.*:.*)\]", text)
    host = bracketed[1] if bracketed else text
    if not (_is_ipv6(host) if ":" in host else NAME.fullmatch(host)):
        raise SettingError(HOST, f"{EXPECTED}, got {text!r}")
    return host


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches a host; of a name but `localhost` nobody knows."""
    if _is_localhost(host):
        return True
    try:
        [found, *_] = _resolve(host, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    address = ipaddress.ip_address(found[4][0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_localhost(host: str) -> bool:
    return f".{host.lower()}".removesuffix(".").endswith(".localhost")


def _resolve(host: str, flags: int = 0, port: int = 0) -> list[Any]:
    """What the system knows of a host; any spelling of an address that it reads is one."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)


def http_url(host: str, port: int) -> str:
    """Where a browser finds a host, such as http://[::1]:8000."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(host: str, port: int, port_setting: str, backlog: int = 128) -> list[socket.socket]:
    """Listening sockets on every address of a host. Raises SettingError if they cannot be had."""
    what = f"cannot listen on {http_url(host, port)}"
    try:
        return _listen(host, port, backlog)
    except UnicodeError:
        raise SettingError(HOST, f"{what}; it is no name") from None
    except OSError as error:
        # create_server adds the address to what the system says; a resolver's numbers are negative.
        number = error.errno or 0
        reason = (os.strerror(number) if number > 0 else str(error.strerror)).lower()
        if number in TAKEN:
            advice = "stop what listens there or choose another port"
            raise SettingError(port_setting, f"{what} ({reason}); {advice}") from None
        raise SettingError(HOST, f"{what} ({reason}); it is no address here") from None


def _listen(host: str, port: int, backlog: int) -> list[socket.socket]:
    hosts = LOOPBACK if _is_localhost(host) else [host]
    found = [entry for name in hosts for entry in _resolve(name, port=port)]
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    with ExitStack() as opened:
        for family, address in dict.fromkeys((entry[0], entry[4]) for entry in found):
            both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
            try:
                listener = socket.create_server(
                    address, family=family, backlog=backlog, dualstack_ipv6=both
                )
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
                absent = error
            else:
                sockets.append(opened.enter_context(listener))
        if absent and not sockets:
            raise absent
        opened.pop_all()
    return sockets


def new_socket_folder() -> Path:
    """A private folder for a Unix socket: in /tmp where that of temporary files is too deep."""
    is_deep = len(os.fsencode(tempfile.gettempdir())) > MOST_PATH_BYTES - NAMES_BYTES
    return Path(tempfile.mkdtemp(prefix="grokprobe-", dir="/tmp" if is_deep else None))
