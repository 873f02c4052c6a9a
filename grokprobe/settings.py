"""Every setting of both programs: `GROKPROBE_NAME` in the environment is `name` here.

One table for trainer and service, because either must refuse a name that neither knows.
"""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

import msgspec

from grokprobe.addresses import http_url, is_loopback, parse_host
from grokprobe.errors import SettingError
from grokprobe.machine.memory import share_of_memory

PREFIX = "GROKPROBE_"

Positive = Annotated[int, msgspec.Meta(gt=0)]
ORIGINS = r"^(\*|https?://[^/,\s]+(\s*,\s*https?://[^/,\s]+)*)?$"
# `none`, or `self` and origins, hosts beginning with `*.` too; with the header's quotes or without.
ANCESTOR = r"(self|'self'|https?://(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?)"
ANCESTORS = rf"^(none|'none'|{ANCESTOR}([\s,]+{ANCESTOR})*)$"
PROM_FILE = r"^(.*\.prom)?$"  # the collector of node_exporter reads no other
CLIENT_URL = r"^(https?://[^@\s]+)?$"
GATEWAY = r"^(https?://[^/@\s]+(/[^@\s]*)?)?$"
DAY_S = 86_400
# Segments of a URL's path, without what means something in HTML or in headers.
ROOT_PATH = re.compile(r"(/([A-Za-z0-9._~!$+,=:@-]|%[0-9A-Fa-f]{2})+)*/?")
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting with the default of docs/operations.md; bytes and counts are positive."""

    home: Annotated[str, msgspec.Meta(min_length=1)] = ".grokprobe"
    store_url: str = ""  # empty: files under home
    s3_endpoint: str = ""
    redis_url: str = "embedded"
    redis_server: str = ""  # the program that is embedded; empty: one on PATH, else a wheel's
    host: str = "127.0.0.1"
    port: Port = 8000
    keep_alive_s: Annotated[int, msgspec.Meta(ge=1, le=DAY_S)] = 75
    drain_s: Annotated[int, msgspec.Meta(ge=0, le=DAY_S)] = 5
    root_path: str = ""  # what a proxy puts before our own paths; empty: nothing
    session_cache_bytes: Positive = msgspec.field(default_factory=lambda: share_of_memory(4))
    grid_cache_bytes: Positive = msgspec.field(default_factory=lambda: share_of_memory(16))
    answer_cache_bytes: Positive = msgspec.field(default_factory=lambda: share_of_memory(32))
    result_cache_bytes: Positive = msgspec.field(default_factory=lambda: share_of_memory(64))
    request_memory_bytes: Positive = msgspec.field(default_factory=lambda: share_of_memory(5))
    max_pairs: Positive = 65_536
    max_body_bytes: Positive = 10_485_760
    max_model_bytes: Positive = 268_435_456
    max_in_flight: Positive = 256
    max_inference_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = (
        10  # of models not exported here
    )
    max_listeners: Positive = 10_000
    pictures: bool = True  # false: what the renderer draws is not on offer
    renderer_memory_bytes: Positive = 512 * 2**20
    api_keys_file: str = ""
    allow_anonymous: bool = False
    open_metrics: bool = True
    cors_origins: Annotated[str, msgspec.Meta(pattern=ORIGINS)] = ""
    frame_ancestors: Annotated[str, msgspec.Meta(pattern=ANCESTORS)] = "none"
    require_gpu: bool = False
    tracing: bool = False
    trainer_metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0  # 0: not served
    trainer_metrics_file: Annotated[str, msgspec.Meta(pattern=PROM_FILE)] = ""
    pushgateway_url: Annotated[str, msgspec.Meta(pattern=GATEWAY)] = ""
    client_url: Annotated[str, msgspec.Meta(pattern=CLIENT_URL)] = ""
    client_key: str = ""
    log_format: Literal["auto", "text", "json"] = "auto"

    def __post_init__(self) -> None:
        """Host and root path are kept in one spelling. Raises SettingError for what is none."""
        msgspec.structs.force_setattr(self, "host", parse_host(self.host))
        msgspec.structs.force_setattr(self, "root_path", _root_path(self.root_path))

    @property
    def url(self) -> str:
        """Where the service is found, such as http://127.0.0.1:8000."""
        return http_url(self.host, self.port)

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose pages may read the service; `*` is all of them."""
        return frozenset(filter(None, (o.strip() for o in self.cors_origins.split(","))))

    @property
    def ancestors(self) -> str:
        """Whose pages may show ours in a frame, as a Content-Security-Policy has it."""
        words = self.frame_ancestors.replace(",", " ").split()
        return " ".join(f"'{word}'" if word in ("none", "self") else word for word in words)

    @property
    def on_loopback(self) -> bool:
        """Whether nobody but this machine reaches `host`."""
        return is_loopback(self.host)

    @property
    def home_path(self) -> Path:
        """Where the embedded parts live, absolute."""
        return Path(self.home).expanduser().absolute()


# Where the decoder's own words would not tell a person what to write.
ALLOWED = {
    "GROKPROBE_CLIENT_URL": "expected an address such as http://127.0.0.1:8000",
    "GROKPROBE_CORS_ORIGINS": "expected * or origins such as https://example.org, with commas",
    "GROKPROBE_FRAME_ANCESTORS": (
        "expected none, or self and origins such as https://example.org, with commas"
    ),
    "GROKPROBE_LOG_FORMAT": "expected auto, text or json",
    "GROKPROBE_PUSHGATEWAY_URL": "expected an address such as http://pushgateway:9091, no password",
    "GROKPROBE_TRAINER_METRICS_FILE": "expected a path that ends in .prom",
}


def _root_path(text: str) -> str:
    """A path without its last slash. Raises SettingError for what is none."""
    names = unquote(text).split("/")
    if not ROOT_PATH.fullmatch(text) or "." in names or ".." in names:
        raise SettingError(
            variable("root_path"),
            "expected a path such as /grokprobe, as it stands in URLs (percent-encoded, without "
            f"host or query), got {text!r}",
        )
    return text.removesuffix("/")


def variable(field: str) -> str:
    """The environment variable of a field: `max_pairs` -> `GROKPROBE_MAX_PAIRS`."""
    return PREFIX + field.upper()


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from an environment (the process's own by default).

    Raises SettingError for an unknown `GROKPROBE_*` name or a value of the wrong kind.
    """
    source = os.environ if environ is None else environ
    given = {name: value for name, value in source.items() if name.startswith(PREFIX)}
    known = {variable(field) for field in Settings.__struct_fields__}
    for name in sorted(given.keys() - known):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise SettingError(name, f"is not a setting{hint}")
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}
    try:
        return msgspec.convert(fields, Settings, strict=False)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        name = variable(place.rstrip("`"))
        expected = message.partition(", got")[0].lower().replace("`bool`", "true or false")
        allowed = ALLOWED.get(name, expected)
        raise SettingError(name, f"{allowed}, got {given[name]!r}") from None


def refuse_memory(settings: Settings) -> None:
    """Raise SettingError where what a program publishes would be gone when it ends."""
    if settings.store_url.startswith("memory:"):
        message = "a run in memory would be gone when this program ends; choose a store that stays"
        raise SettingError(variable("store_url"), message)
