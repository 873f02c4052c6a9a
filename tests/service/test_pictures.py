"""Pictures over HTTP: which format is meant, what may be asked of one, how long it may be kept."""

import json
from pathlib import Path

import httpx
import pytest

from service.formats.negotiation import negotiate
from service.formats.pictures import PDF, PICTURES, PNG, SVG, VEGA_LITE, VEGA_LITE_6, on_offer
from service.formats.registry import ARRAY, CSV, JSON, NPY, TABLE, Format
from tests.service.test_api import LAST, LATEST, RUN, get
from tests.service.test_api_measures import unfinished
from tests.service.test_caching import IMMUTABLE, again
from tests.support.drawn import DRAWN, data, size, texts
from tests.support.served import Served
from tests.support.trained import Trained

__all__ = ["unfinished"]  # a fixture

SPECTRUM = f"{LAST}/spectrum"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
FIREFOX = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,"
    "image/svg+xml,*/*;q=0.8"
)
IN_A_PAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
V5, V6 = VEGA_LITE.media_type, VEGA_LITE_6.media_type


@pytest.mark.parametrize(
    ("asked", "accept", "expected"),
    [
        (None, "", JSON),
        (None, "*/*", JSON),
        (None, CHROME, JSON),
        (None, FIREFOX, JSON),
        (None, IN_A_PAGE, SVG),
        (None, "image/svg+xml", SVG),
        (None, "image/*", SVG),
        (None, "image/png", PNG),
        (None, "image/png, image/svg+xml;q=0.9", PNG),
        (None, "application/pdf", PDF),
        (None, "text/html, application/pdf", PDF),
        (None, "text/html, image/png, text/csv;q=0.1", CSV),
        (None, V5, VEGA_LITE),
        (None, V6, VEGA_LITE_6),
        (None, f"{V6}, {V5};q=0.5", VEGA_LITE_6),
        ("vega-lite", "", VEGA_LITE),
        ("vega-lite", "*/*", VEGA_LITE),
        ("vega-lite", CHROME, VEGA_LITE),
        ("vega-lite", V6, VEGA_LITE_6),
        ("vega-lite", "application/json", VEGA_LITE),
        ("svg", "application/json", SVG),
        ("png", FIREFOX, PNG),
    ],
)
def test_negotiate(asked: str | None, accept: str, expected: Format) -> None:
    """JSON stays the default, also of an address that is opened; an image in a page gets one."""
    assert negotiate(asked, accept, (*TABLE, *PICTURES)) is expected


def test_what_is_an_array_stays_one() -> None:
    """Where npy is the default, browsers get it as ever."""
    assert negotiate(None, FIREFOX, (*ARRAY, *PICTURES)) is NPY
    assert on_offer((*ARRAY, *PICTURES), False) == (*ARRAY, VEGA_LITE, VEGA_LITE_6)
    assert on_offer(TABLE, False) == on_offer(TABLE, True) == TABLE


@pytest.mark.parametrize("chosen", DRAWN)
def test_a_picture(served: Served, chosen: str) -> None:
    """By name and by Accept the same bytes, of the media type; it has a size."""
    named = served.client.get(SPECTRUM, params={"format": chosen})
    accepted = served.client.get(SPECTRUM, headers={"Accept": DRAWN[chosen]})
    for answer in (named, accepted):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == DRAWN[chosen]
        assert "Accept" in answer.headers["vary"]
    assert named.content == accepted.content
    assert min(size(chosen, named.content)) > 100


def test_a_specification_carries_its_data(served: Served) -> None:
    """In the schema that was asked for; nothing else differs between the two."""
    answers = [
        served.client.get(SPECTRUM, params={"format": "vega-lite"}),
        served.client.get(SPECTRUM, params={"format": "vega-lite"}, headers={"Accept": V6}),
        served.client.get(SPECTRUM, headers={"Accept": V6}),
    ]
    kinds = [answer.headers["content-type"] for answer in answers]
    assert kinds == [V5, V6, V6]
    v5, v6, again = (answer.json() for answer in answers)
    assert again == v6
    schemas = [spec.pop("$schema") for spec in (v5, v6)]
    assert schemas == [f"https://vega.github.io/schema/vega-lite/{n}.json" for n in ("v5", "v6")]
    assert v5 == v6
    assert data(v5)
    assert "url" not in json.dumps(v5["vconcat"][0].get("data", {}))
    assert answers[0].headers["etag"] != answers[1].headers["etag"]


def test_a_caption_says_whose_it_is(served: Served) -> None:
    """Run, step, the rule of the keys and the digest of the file, also where a label was asked."""
    manifest = get(served.client, LAST)
    for step in (LATEST, "latest"):
        path = f"{RUN}/checkpoints/{step}/spectrum"
        told = texts(served.client.get(path, params={"format": "svg"}).content)
        for part in (f"run tiny, step {LATEST}", manifest["model"]["sha256"][:12], "rule logits"):
            assert part in told


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"format": "png", "scale": "0.25"}, (0.25, 0.25)),
        ({"format": "png", "scale": "2"}, (2.0, 2.0)),
        ({"format": "png", "scale": "1e0"}, (1.0, 1.0)),
    ],
)
def test_scale(served: Served, query: dict[str, str], expected: tuple[float, float]) -> None:
    """Pixels for each of the chart."""
    wide, high = size("svg", served.client.get(SPECTRUM, params={"format": "svg"}).content)
    found = size("png", served.client.get(SPECTRUM, params=query).content)
    assert found == pytest.approx((wide * expected[0], high * expected[1]), abs=1)


@pytest.mark.parametrize("width", [16, 17, 333, 640, 1001, 1200, 4095])
def test_width(served: Served, width: int) -> None:
    """A png is exactly as wide as was asked."""
    answer = served.client.get(SPECTRUM, params={"format": "png", "width": width})
    assert size("png", answer.content)[0] == width


def test_themes(served: Served) -> None:
    """Light is the default; dark is another picture."""
    found = [
        served.client.get(SPECTRUM, params={"format": "svg", **more}).text
        for more in ({}, {"theme": "light"}, {"theme": "dark"})
    ]
    assert found[0] == found[1] != found[2]
    assert "#14171c" in found[2]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"theme": "light"}, "theme"),
        ({"scale": "1"}, "scale"),
        ({"width": "640"}, "width"),
        ({"format": "csv", "theme": "dark"}, "theme"),
        ({"format": "npy", "theme": "dark"}, "format"),
        ({"format": "svg", "theme": "blue"}, "theme"),
        ({"format": "svg", "theme": ""}, "theme"),
        ({"format": "svg", "scale": "2"}, "scale"),
        ({"format": "pdf", "width": "640"}, "width"),
        ({"format": "vega-lite", "width": "640"}, "width"),
        ({"format": "png", "scale": "0.2"}, "scale"),
        ({"format": "png", "scale": "8.01"}, "scale"),
        ({"format": "png", "scale": "-1"}, "scale"),
        ({"format": "png", "scale": "nan"}, "scale"),
        ({"format": "png", "scale": "1e400"}, "scale"),
        ({"format": "png", "width": "15"}, "width"),
        ({"format": "png", "width": "8193"}, "width"),
        ({"format": "png", "width": "640.5"}, "width"),
        ({"format": "png", "width": "640", "scale": "1"}, "width"),
        ({"format": "png", "with": "640"}, "with"),
    ],
)
def test_what_makes_no_sense_is_said(served: Served, query: dict[str, str], parameter: str) -> None:
    """400 names the parameter; a format that is not on offer is 406."""
    answer = served.client.get(SPECTRUM, params=query)
    if parameter == "format":
        assert answer.status_code == 406
        return
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"].startswith(f"{parameter}:")


def test_where_there_is_no_picture_its_parameters_are_unknown(served: Served) -> None:
    """A route without pictures neither takes them nor offers any."""
    assert served.client.get(f"{LAST}/weights?theme=dark").status_code == 400
    assert served.client.get(f"{LAST}/weights?format=svg").status_code == 406


def test_a_picture_of_a_numbered_step_is_kept(served: Served) -> None:
    """For a year, by a strong ETag: 304, HEAD and ranges are as of every answer."""
    for chosen in ("vega-lite", *DRAWN):
        query = f"{SPECTRUM}?format={chosen}&null=20"
        answer = served.client.get(query, headers={"Accept-Encoding": "identity"})
        assert answer.headers["cache-control"] == IMMUTABLE
        tag = answer.headers["etag"]
        assert tag.startswith('"')
        assert again(served.client, query, tag).status_code == 304
        head = served.client.head(query)
        assert head.headers["content-length"] == str(len(answer.content))
        assert (head.headers["etag"], head.headers["accept-ranges"]) == (tag, "bytes")
        part = served.client.get(query, headers={"Range": "bytes=5-14", "If-Range": tag})
        assert (part.status_code, part.content) == (206, answer.content[5:15])
        assert served.client.get(query, headers={"Range": "bytes=99999999-"}).status_code == 416
        assert served.client.get(query, headers={"If-Match": '"other"'}).status_code == 412


@pytest.mark.parametrize("chosen", DRAWN)
def test_a_first_picture_by_head_or_range(served: Served, chosen: str) -> None:
    """A reader by parts may be the first who asks."""
    query = f"{SPECTRUM}?format={chosen}&null=20&seed=77"
    head = served.client.head(query)
    assert head.status_code == 200
    part = served.client.get(f"{query}&statistic=max_share", headers={"Range": "bytes=0-4"})
    assert (part.status_code, len(part.content)) == (206, 5)
    whole = served.client.get(query, headers={"Accept-Encoding": "identity"})
    assert head.headers["content-length"] == str(len(whole.content))


def test_etags_differ_where_pictures_do(served: Served) -> None:
    """Another format, theme, size or schema has another."""
    queries = [
        *({"format": chosen} for chosen in ("json", "vega-lite", *DRAWN)),
        {"format": "svg", "theme": "dark"},
        {"format": "png", "theme": "dark"},
        {"format": "png", "scale": "2"},
        {"format": "png", "width": "640"},
    ]
    tags = [served.client.get(SPECTRUM, params=query).headers["etag"] for query in queries]
    v6 = served.client.get(SPECTRUM, headers={"Accept": V6}).headers["etag"]
    assert len({*tags, v6}) == len(queries) + 1


def test_text_is_packed(served: Served) -> None:
    """svg and specifications are, png and pdf are packed already."""
    packed = {"Accept-Encoding": "gzip"}
    for chosen, expected in {"svg": "gzip", "vega-lite": "gzip", "png": None, "pdf": None}.items():
        answer = served.client.get(SPECTRUM, params={"format": chosen}, headers=packed)
        assert answer.headers.get("content-encoding") == expected


@pytest.mark.parametrize("chosen", ["vega-lite", "svg"])
def test_what_may_change_is_asked_for_again(served: Served, unfinished: str, chosen: str) -> None:
    """A label, and whatever rests on the keys of a run that goes on."""
    label = served.client.get(f"{RUN}/checkpoints/latest/spectrum", params={"format": chosen})
    assert label.headers["cache-control"] == "no-cache"
    assert label.headers["content-location"].startswith(f"{SPECTRUM}?")
    goes_on = httpx.get(f"{unfinished}{SPECTRUM}", params={"format": chosen}, timeout=60)
    assert goes_on.headers["cache-control"] == "no-cache"
    assert "provisional" in goes_on.text
    assert again(served.client, f"{SPECTRUM}?format={chosen}", label.headers["etag"])


def test_nothing_is_written_for_a_picture(served: Served, trained: Trained) -> None:
    """Object storage holds what it held."""

    def objects() -> dict[Path, int]:
        store = trained.settings.home_path / "store"
        return {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}

    before = objects()
    for chosen in ("vega-lite", *DRAWN):
        query = {"format": chosen, "null": "20", "seed": "5"}
        assert served.client.get(SPECTRUM, params=query).status_code == 200
    assert objects() == before
