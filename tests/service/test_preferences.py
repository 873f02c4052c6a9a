"""What clients prefer: read by RFC 9110, and a preference that cannot be read never refuses."""

import gzip
import string

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)

from grokprobe.preferences import accepted_exposition, entries, preferences
from service.errors import FormatNotOffered
from service.formats.negotiation import media_ranges, negotiate
from service.formats.registry import FORMATS, TABLE
from service.middleware.compression import choose_encoding
from tests.service.test_api import LAST, RUN

JDK = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"  # of HttpURLConnection, for decades
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ACCEPTS = {
    "*/*; q=.2": "json",
    "*": "json",
    JDK: "json",
    FIREFOX: "json",
    "text/html": None,
    "text/csv;q=.5, application/json;q=.4": "csv",
    "TEXT/CSV ; Q=1": "csv",
    "text/csv\t;\tq\t=\t.5": "csv",
    ",, text/csv,,": "csv",
    "q=1,": "json",
    ";;;": "json",
    "json": "json",
    "*/csv": "json",
    "text/csv;q=high": "csv",
    "text/csv;q=, application/json;q=0.9": "csv",
    "text/csv;q=-1, application/json;q=0.9": "csv",
    "text/csv;q=1.5, application/json;q=0.9": "csv",
    "text/csv;q=1.000, application/json;q=0.9": "csv",
    "text/csv;q=0.0000, application/json": "json",
    'text/csv;header="a, b;q=0", image/gif': "csv",
    'text/csv;header="a\\", b': "csv",
    'text/csv;q="0.3", application/json;q=0.2': "csv",
    "application/json;charset=utf-8": "json",
    "application/json;profile=x;q=0.1, text/*;q=0.2": "csv",
    "text/csv;q=0.1, text/csv;q=0.9, application/json;q=0.5": "csv",
    "application/*;q=0.5, application/json;q=0, text/*;q=0.1": "arrow",
    "*/*;q=0": None,
    "image/gif, audio/*;q=.1": None,
    "text/csv;q=0": None,
    "@/@, text/csv": "csv",
    "é/ü, text/csv": "csv",
}


@pytest.mark.parametrize("accept", ACCEPTS)
def test_accept(client: httpx.Client, accept: str) -> None:
    """Over HTTP, of a table: the format that is meant; 406 where what is readable admits none."""
    answer = client.get(f"{LAST}/spectrum", headers={b"Accept": accept.encode("latin-1")})
    expected = ACCEPTS[accept]
    assert answer.status_code == (200 if expected else 406)
    if expected:
        assert answer.headers["content-type"].partition(";")[0] == FORMATS[expected].media_type


ENCODINGS = {
    "gzip;q=.5": "gzip",
    "gzip; q=.2": "gzip",
    "GZIP;Q=0.001": "gzip",
    "x-gzip": "gzip",
    ",gzip,": "gzip",
    "gzip;q=high": "gzip",
    "gzip;level=9;q=0.5, br": "gzip",
    "*;q=.1": "zstd",
    "*;q=0": None,
    "*;q=0, gzip;q=.5": "gzip",
    "identity;q=0": None,
    "identity;q=0, gzip": "gzip",
    "identity, gzip;q=.5": None,
    "identity;q=.5, gzip;q=.5": "gzip",
    "gzip;q=0": None,
    "gzip;q=0.000, zstd;q=0.1": "zstd",
    "br, deflate": None,
    "gzip" + ", unheard-of" * 1000: "gzip",
    ";": None,
    "": None,
}


@pytest.mark.parametrize("accepted", ENCODINGS)
def test_accept_encoding(client: httpx.Client, accepted: str) -> None:
    """Over HTTP: the encoding that is meant, and what cannot be read is never refused."""
    answer = client.get(f"{LAST}/predictions", headers={"Accept-Encoding": accepted})
    assert answer.status_code == 200
    assert answer.headers.get("content-encoding") == ENCODINGS[accepted]


def test_other_headers_of_old_clients(client: httpx.Client) -> None:
    """Every route answers what HttpURLConnection sends."""
    for path in ("/livez", "/metrics", RUN, f"{LAST}/logits", f"{LAST}/model.onnx", "/v2"):
        assert client.get(path, headers={"Accept": JDK, "Accept-Encoding": "x"}).status_code == 200


WORDS = st.text(string.printable, max_size=8) | st.sampled_from(
    ["q=", "q=.5", ";", ",", '"', "\\", "*/*", "text/csv", "application/json", "gzip", "*", " "]
)
HEADERS = st.lists(WORDS, max_size=30).map("".join)


@given(HEADERS)
def test_any_header_is_read(header: str) -> None:
    """Never an error of ours, qualities are 0..1, and nothing readable is no preference."""
    assert all(0 <= entry.quality <= 1 for entry in entries(header))
    ranges = media_ranges(header)
    try:
        assert negotiate(None, header, TABLE) in TABLE
    except FormatNotOffered:
        assert ranges
    assert choose_encoding(header) in ("gzip", "zstd", None)
    choose_encoder(accepted_exposition(header))


TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'+-.^_`|~", min_size=1, max_size=6)
QUALITIES = st.integers(0, 1000)


@given(st.dictionaries(TOKEN.map(str.lower), QUALITIES, min_size=1, max_size=5), st.data())
def test_what_the_standard_allows_is_read(wanted: dict[str, int], data: st.DataObject) -> None:
    """Any spelling of a list gives the qualities that were meant."""
    space = st.text(" \t", max_size=2)
    members = []
    for name, quality in wanted.items():
        before, after, blank = (data.draw(space) for _ in range(3))
        spelled = data.draw(st.sampled_from([name, name.upper()]))
        value = f"{quality / 1000:.3f}"
        members.append(
            f"{blank}{spelled}{before};{after}{data.draw(st.sampled_from('qQ'))}={value}"
        )
        members += [""] * data.draw(st.integers(0, 2))
    assert preferences(",".join(members)) == {n: q / 1000 for n, q in wanted.items()}


@pytest.mark.parametrize(
    "header",
    [
        '"\\' * 32_000,
        "a/b;" * 16_000,
        "," * 64_000,
        "a/b;q=" + "0" * 60_000,
        '"' * 63_999,
        "q=" * 99,
    ],
)
def test_long_headers_are_read_once(header: str) -> None:
    """A head may have 64 KB: the work grows as its length, so that this ends."""
    for _ in range(20):
        media_ranges(header)
        choose_encoding(header)
        accepted_exposition(header)


# -- metrics ---------------------------------------------------------------------------------------

OLD = "text/plain; version=0.0.4; charset=utf-8"
NEW = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
EXPOSITIONS = {
    "": OLD,
    "*/*": OLD,
    JDK: OLD,
    "text/plain": OLD,
    "text/plain; version=0.0.4": OLD,
    "text/plain; version=1.0.0": NEW,
    "application/openmetrics-text": OPEN,
    "Application/OpenMetrics-Text; Version=1.0.0": OPEN,
    'application/openmetrics-text; version="1.0.0"': OPEN,
    "application/openmetrics-text; version=abc": OPEN,
    "application/openmetrics-text; version=99.0.0": OPEN,
    "application/openmetrics-text; version=0.0.1": OLD,
    "application/openmetrics-text; version=0.0.1, text/plain; version=1.0.0; q=0.1": NEW,
    "application/openmetrics-text; q=0": OLD,
    "application/openmetrics-text; q=0.1, */*": OLD,
    PROMETHEUS: OPEN,
    "application/json": OLD,
    "nonsense": OLD,
}


@pytest.mark.parametrize("accept", EXPOSITIONS)
def test_metrics_in_the_form_that_is_asked_for(client: httpx.Client, accept: str) -> None:
    """By Accept, and never refused; the Content-Type is that of the body, said once."""
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers.get_list("content-type") == [EXPOSITIONS[accept]]
    assert "Accept" in answer.headers["vary"]
    if EXPOSITIONS[accept] == OPEN:
        families = read_openmetrics(answer.text)  # type: ignore[no-untyped-call]
        names = {family.name for family in families}
        assert {"grokprobe_requests", "grokprobe_request_seconds", "process_cpu_seconds"} <= names
    else:
        assert "# EOF" not in answer.text


def test_openmetrics_is_packed(client: httpx.Client) -> None:
    """As Prometheus asks for it."""
    headers = {"Accept": PROMETHEUS, "Accept-Encoding": "gzip"}
    with client.stream("GET", "/metrics", headers=headers) as answer:
        body = gzip.decompress(b"".join(answer.iter_raw()))
    assert body.endswith(b"# EOF\n")
