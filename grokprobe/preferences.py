"""What a client prefers, by a header such as Accept (RFC 9110, section 12), read forgivingly.

Who writes such headers is seldom who reads the answer. So a quality that cannot be read is 1, an
entry that cannot be read is skipped, and where none can be read there is no preference.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)  # the rest, where nothing closes it
SPECIAL = re.compile(r"[^\w.+-]", re.ASCII)
TOKEN = r"[\w!#$%&'*+.^`|~-]+"
NAME = re.compile(rf"{TOKEN}(/{TOKEN})?", re.ASCII)
QUALITY = re.compile(r"(0|1)(\.\d*)?|\.\d+", re.ASCII)
VERSION = re.compile(r"(\d{1,9})(\.\d{1,9})*", re.ASCII)

OPENMETRICS, TEXT = "application/openmetrics-text", "text/plain"


class Preference(NamedTuple):
    """One entry: a media type, range, or coding, its parameters in lower case, its quality 0..1."""

    name: str
    parameters: Mapping[str, str]
    quality: float


def entries(header: str) -> Iterator[Preference]:
    """The readable entries as they stand; quoted values lose what is no letter or digit."""
    plain = QUOTED.sub(lambda quoted: SPECIAL.sub("", quoted[0]), header)
    for item in plain.lower().split(","):
        name, *given = map(str.strip, item.split(";"))
        if NAME.fullmatch(name):
            pairs = (one.partition("=") for one in given)
            parameters = {key.strip(): value.strip() for key, _, value in pairs}
            yield Preference(name, parameters, _quality(parameters.get("q", "")))


def _quality(text: str) -> float:
    return min(float(text), 1.0) if QUALITY.fullmatch(text) else 1.0


def preferences(header: str) -> dict[str, float]:
    """The quality of each name; of one that comes twice the better counts."""
    found: dict[str, float] = {}
    for name, _, quality in entries(header):
        found[name] = max(quality, found.get(name, 0.0))
    return found


def accepted_exposition(header: str) -> str:
    """The form of metrics that an Accept header ranks first, as prometheus_client reads it.

    Prometheus' older text where nothing better is asked for by name.
    """
    for name, parameters, quality in sorted(entries(header), key=lambda entry: -entry.quality):
        version = VERSION.fullmatch(parameters.get("version", "1"))
        is_old = version is not None and version[1].strip("0") == ""
        if quality == 0 or (name == OPENMETRICS and is_old):
            continue
        if name == OPENMETRICS:
            return f"{OPENMETRICS}; version=1.0.0"
        if name == TEXT and "version" in parameters and version and not is_old:
            return f"{TEXT}; version=1.0.0"
        if name in (TEXT, "text/*", "*/*", "*"):
            break
    return f"{TEXT}; version=0.0.4"
