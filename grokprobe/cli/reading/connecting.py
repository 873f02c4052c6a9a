"""The options of commands that read through the client, and the client that they mean."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from grokprobe.cli.extras import check_installed
from grokprobe.settings import read_settings

if TYPE_CHECKING:
    from grokprobe import AsyncClient, Client

F = TypeVar("F", bound=Callable[..., Any])


def asking(function: F) -> F:
    """Options `--url` and `--key` of a command."""
    function = click.option("--key", help="The key that the service asks for.")(function)
    return click.option("--url", help="A service that runs; else one is started.")(function)


def opened(command: str, url: str | None, key: str | None, **options: Any) -> "Client":
    """The service that is named, here or by GROKPROBE_CLIENT_URL; else one of our own.

    `options` are those of the client. Raises SettingError, InvalidInput where our own needs an
    extra, ClientError.
    """
    from grokprobe import Client

    if _named(command, url):
        return Client(url, key=key, **options)
    return Client.local(**options)


def opened_async(command: str, url: str | None, key: str | None, wait_s: float) -> "AsyncClient":
    """The same for what awaits answers, each at most so long."""
    from grokprobe import AsyncClient

    if _named(command, url):
        return AsyncClient(url, key=key, bars=False, wait_s=wait_s)
    return AsyncClient.local(bars=False, wait_s=wait_s)


def _named(command: str, url: str | None) -> bool:
    read_settings()
    if url or os.environ.get("GROKPROBE_CLIENT_URL"):
        return True
    check_installed(f"{command} without --url", "service")
    return False
