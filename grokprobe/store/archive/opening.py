"""From the settings to object storage, with the options that the clouds' own variables name.

The library reads `AWS_*`, `GOOGLE_*` and `AZURE_*` itself, but for those of its HTTP client
(`AWS_ALLOW_HTTP`, `AZURE_TIMEOUT` ...), which it drops where a program gives one of its own: so
they are put beside ours here, and stand above them. Nothing is contacted.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from grokprobe.errors import SettingError
from grokprobe.settings import Settings, variable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig  # exist for type checkers alone


@dataclass(frozen=True)
class Patience:
    """How long a request may take; each is a bound of its own."""

    connect_s: float
    silence_s: float  # before the answer or within it; an upload is silence too
    whole_s: float
    retry_s: float  # since the first try, up to which another may begin

    @property
    def silent_s(self) -> float:
        """What a storage that takes connections, or does not, and never answers costs at most."""
        return self.retry_s + self.connect_s + self.silence_s


WRITING = Patience(connect_s=2, silence_s=15, whole_s=120, retry_s=10)
READING = Patience(connect_s=1, silence_s=2.5, whole_s=120, retry_s=1)  # somebody waits for it
RETRIES: "RetryConfig" = {"max_retries": 3}

# What the library's HTTP client can be told by a variable.
CLIENT_OPTIONS = {
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "default_content_type",
    "http1_only",
    "http2_keep_alive_interval",
    "http2_keep_alive_timeout",
    "http2_keep_alive_while_idle",
    "http2_max_frame_size",
    "http2_only",
    "pool_idle_timeout",
    "pool_max_idle_per_host",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "randomize_addresses",
    "read_timeout",
    "timeout",
    "user_agent",
}
TRUE = ("1", "true", "on", "yes", "y")  # as the library reads it


@dataclass(frozen=True)
class Cloud:
    """How the variables of a cloud begin, and those that may hold its address, strongest first.

    `option` is what the library calls the address.
    """

    prefix: str
    endpoints: tuple[str, ...]
    option: str = "endpoint"


CLOUDS = {
    "s3": Cloud("AWS_", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")),
    "gs": Cloud("GOOGLE_", ("GOOGLE_BASE_URL",), "base_url"),
    "az": Cloud("AZURE_", ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")),
}


def open_store(
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    patience: Patience = WRITING,
) -> ObjectStore:
    """The object store that the settings name. Raises SettingError if it cannot be one."""
    if not settings.store_url:
        return _local_store(settings.home_path / "store", "home")
    try:
        parts = urlsplit(settings.store_url)
        if parts.scheme == "file" and not parts.netloc:
            return _local_store(Path(unquote(parts.path)), "store_url")
        if parts.scheme == "memory":
            return MemoryStore()
        if "@" in parts.netloc:
            message = "holds a name or a password, which belong into the cloud's own variables"
            raise SettingError(variable("store_url"), message)
        if parts.scheme in CLOUDS:
            return _remote_store(settings, CLOUDS[parts.scheme], environ, patience)
    except ValueError as error:
        raise SettingError(variable("store_url"), f"cannot be used: {error}") from None
    raise SettingError(
        variable("store_url"),
        f"{settings.store_url!r} is not file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, "
        "az://CONTAINER/PREFIX or memory://",
    )


def store_exists(settings: Settings) -> bool:
    """Whether there is anything to read: opening local files would make their folder."""
    if not settings.store_url:
        return (settings.home_path / "store").is_dir()
    parts = urlsplit(settings.store_url)
    return parts.scheme != "file" or Path(unquote(parts.path)).is_dir()


def _local_store(folder: Path, setting: str) -> LocalStore:
    try:
        return LocalStore(folder, mkdir=True)
    except OSError as error:
        raise SettingError(variable(setting), f"{folder} cannot be used: {error}") from None


def _remote_store(
    settings: Settings, cloud: Cloud, environ: Mapping[str, str], patience: Patience
) -> ObjectStore:
    given = {
        name.removeprefix(cloud.prefix).lower(): value
        for name, value in environ.items()
        if name.startswith(cloud.prefix)
    }
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=patience.connect_s),
        "read_timeout": timedelta(seconds=patience.silence_s),
        "timeout": timedelta(seconds=patience.whole_s),
        **{name: given[name] for name in CLIENT_OPTIONS & given.keys()},
    }
    retries: RetryConfig = {**RETRIES, "retry_timeout": timedelta(seconds=patience.retry_s)}
    endpoints = {name: environ[name] for name in cloud.endpoints if name in environ}
    if cloud is CLOUDS["s3"] and settings.s3_endpoint:
        _check_alone(settings.s3_endpoint, endpoints)
        endpoints = {variable("s3_endpoint"): settings.s3_endpoint}
        client.setdefault("allow_http", settings.s3_endpoint.startswith("http:"))
    for name, endpoint in endpoints.items():
        _check_endpoint(name, endpoint, f"{cloud.prefix}ALLOW_HTTP", client.get("allow_http", ""))
    # The library has read it already, but tells it only where it was told it.
    address: Any = {cloud.option: next(iter(endpoints.values()))} if endpoints else {}
    try:
        return from_url(
            settings.store_url,
            client_options=cast("ClientConfig", client),
            retry_config=retries,
            **address,
        )
    except (BaseError, ValueError) as error:
        raise _unusable(error, cloud, environ) from None


def _check_alone(endpoint: str, others: Mapping[str, str]) -> None:
    """Raise SettingError where a variable names another server than our setting does."""
    for name, other in others.items():
        if other != endpoint:
            message = f"names another server than {variable('s3_endpoint')}; unset one of the two"
            raise SettingError(name, message)


def _check_endpoint(name: str, endpoint: str, permission: str, allow_http: Any) -> None:
    """Raise SettingError for an address with which the library would panic, or never connect.

    It is shown only where it can hold no password.
    """
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as a port above 65535
        usable = False
    if "@" in endpoint:
        raise SettingError(name, "holds a name or a password, which belong into other variables")
    if not usable:
        raise SettingError(name, f"{endpoint!r} is not http(s)://HOST:PORT")
    if endpoint.startswith("http:") and str(allow_http).lower() not in TRUE:
        message = f"{endpoint!r} is not encrypted; set {permission}=true if that is meant"
        raise SettingError(name, message)


def _unusable(error: Exception, cloud: Cloud, environ: Mapping[str, str]) -> SettingError:
    """The error for what the library does not take: it may quote a value, but names no variable.

    Of its HTTP client it tells nothing, so that all is blamed with which that was to be built.
    """
    cause = str(error).partition("\n")[0]
    blamed = [
        name
        for name, value in sorted(environ.items())
        if name.startswith(cloud.prefix) and f'"{value}"' in cause
    ]
    if not blamed and "HTTP client" in cause:
        ours = {f"{cloud.prefix}{option.upper()}" for option in CLIENT_OPTIONS}
        blamed = sorted(ours & environ.keys())
    return SettingError(", ".join(blamed) or variable("store_url"), f"cannot be used: {cause}")
