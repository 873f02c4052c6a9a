"""Whatever never changes can be read by parts: lengths, ranges, strong ETags, equal bytes."""

import shutil
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from service.formats.registry import FORMATS
from tests.service.test_api import LAST, RUN
from tests.service.test_api_errors import check_problem
from tests.service.test_api_formats import wide
from tests.service.test_api_measures import unfinished
from tests.support.served import Served, peak_bytes, serving
from tests.support.trained import Trained, settings_at

__all__ = ["unfinished", "wide"]  # fixtures

PLAIN = {"Accept-Encoding": "identity"}
OF_A_CHECKPOINT = [
    f"{LAST}/predictions",
    f"{LAST}/predictions?a=1&b=2",
    f"{LAST}/logits",
    f"{LAST}/embedding",
    f"{LAST}/embedding?projection=raw",
    f"{LAST}/spectrum?null=20",
    f"{LAST}/neurons",
    f"{LAST}/measures",
    f"{LAST}/measures?keys=own&null=20",
    f"{LAST}/weights",
    f"{LAST}/weights/W_E",
]
OF_A_RUN = [
    f"{RUN}/trajectory",
    f"{RUN}/trajectory?measures=excluded_loss_per_key,key_share",
    f"{RUN}/spectra",
    f"{RUN}/coordinates",
    f"{RUN}/neurons",
    f"{RUN}/updates",
    f"{RUN}/path",
    f"{RUN}/emergence",
    f"{RUN}/checkpoints?limit=3",
]
ARRAYS = [path for path in (*OF_A_CHECKPOINT, *OF_A_RUN) if "logits" in path or "W_E" in path]
ANSWERS = [
    f"{path}{'&' if '?' in path else '?'}format={name}"
    for path in (*OF_A_CHECKPOINT, *OF_A_RUN)
    for name in FORMATS
    if name != "npy" or path in ARRAYS
] + [LAST, RUN, f"{LAST}/model.onnx", f"{RUN}/spectra?format=npy", f"{LAST}/embedding?format=npy"]


def part(client: httpx.Client, path: str, asked: str, **more: str) -> httpx.Response:
    """The answer to a Range header; httpx says besides that it takes packed answers."""
    return client.get(path, headers={"Range": asked, **more})


def pieces(client: httpx.Client, path: str) -> bytes:
    """An answer read as readers do: its length, its end, then the rest in parts."""
    head = client.head(path, headers=PLAIN)
    size = int(head.headers["content-length"])
    assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")
    end, middle = size - min(size, 8), size // 3
    asked = [f"bytes=0-{middle}", f"bytes={middle + 1}-{end - 1}", "bytes=-8"]
    found = [part(client, path, one) for one in asked]
    spans = [(0, middle), (middle + 1, end - 1), (end, size - 1)]
    for (first, last), one in zip(spans, found, strict=True):
        assert (one.status_code, len(one.content)) == (206, last - first + 1)
        assert one.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert one.headers["etag"] == head.headers["etag"]
        assert one.headers["content-type"] == head.headers["content-type"]
        assert "content-encoding" not in one.headers
    return b"".join(one.content for one in found)


@pytest.mark.parametrize("path", ANSWERS)
def test_parts_make_the_whole(served: Served, path: str) -> None:
    """Of every answer of a run that has ended, in every format."""
    whole = served.client.get(path, headers=PLAIN)
    assert pieces(served.client, path) == whole.content
    assert not whole.headers["etag"].startswith("W/")


@pytest.fixture(scope="module")
def fresh(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Another process over the same objects, which keeps no grid and shares no result."""
    home = tmp_path_factory.mktemp("fresh")
    shutil.copytree(trained.settings.home_path / "store", home / "store")
    with serving(settings_at(home), home, GROKPROBE_GRID_CACHE_BYTES="1") as found:
        yield found


@pytest.mark.parametrize("path", ANSWERS)
def test_the_bytes_are_the_same_each_time(served: Served, fresh: Served, path: str) -> None:
    """Asked again, in another process, whole or by parts: the same ETag and the same bytes."""
    found = [client.get(path, headers=PLAIN) for client in (served.client, served.client)]
    found.append(fresh.client.get(path, headers=PLAIN))
    assert len({answer.content for answer in found}) == 1
    assert len({answer.headers["etag"] for answer in found}) == 1
    assert pieces(fresh.client, path) == found[0].content


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_part(served: Served, data: st.DataObject) -> None:
    """Every range of a Parquet, CSV, npy, Arrow and JSON answer is that slice, or 416."""
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    path = f"{LAST}/logits?format={name}"
    whole = served.client.get(path, headers=PLAIN).content
    place = st.none() | st.integers(0, len(whole) + 50)
    first, last = data.draw(place), data.draw(place)
    answer = part(
        served.client,
        path,
        f"bytes={'' if first is None else first}-{'' if last is None else last}",
    )
    if (first is None and last is None) or (None not in (first, last) and last < first):  # type: ignore[operator]
        assert (answer.status_code, answer.content) == (200, whole)
    elif (first is None and last == 0) or (first is not None and first >= len(whole)):
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{len(whole)}"
    else:
        low = max(0, len(whole) - (last or 0)) if first is None else first
        high = len(whole) if first is None or last is None else last + 1
        assert (answer.status_code, answer.content) == (206, whole[low:high])


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=5-6,0-1", "bytes=0-1,-1", "lines=0-1"])
def test_several_ranges_are_answered_whole(client: httpx.Client, asked: str) -> None:
    """As the standard lets a server do; so is what is not understood."""
    answer, whole = part(client, f"{LAST}/logits", asked), client.get(f"{LAST}/logits")
    assert (answer.status_code, answer.content) == (200, whole.content)
    assert answer.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize("asked", ["Bytes=0-1", "bytes = 0 - 1", "bytes=0-1,", "bytes=,0-1 ,,"])
def test_one_range_is_understood_however_it_is_written(client: httpx.Client, asked: str) -> None:
    """Names of units are in any case, lists may have empty members."""
    assert part(client, f"{LAST}/logits", asked).content == b"\x93N"


@pytest.mark.parametrize("name", FORMATS)
def test_a_range_outside(client: httpx.Client, name: str) -> None:
    """416 as a problem, with the length."""
    path = f"{LAST}/logits?format={name}"
    answer = part(client, path, "bytes=99999999-")
    check_problem(answer, 416, "bytes")
    size = client.head(path, headers=PLAIN).headers["content-length"]
    assert answer.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize("name", FORMATS)
def test_a_part_of_what_the_client_has(client: httpx.Client, name: str) -> None:
    """If-Range by the strong comparison: another tag, a weak one or a date is answered whole."""
    path = f"{LAST}/logits?format={name}"
    etag = client.get(path, headers=PLAIN).headers["etag"]
    date = "Thu, 01 Jan 2099 00:00:00 GMT"
    for tag, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200), (date, 200)):
        assert part(client, path, "bytes=0-9", **{"If-Range": tag}).status_code == status


def test_a_packed_answer_and_a_part_do_not_mix(client: httpx.Client) -> None:
    """What was packed has a weak tag, by which no part of the plain bytes is given."""
    path = f"{LAST}/predictions?format=csv"
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    answer = part(client, path, "bytes=0-9", **{"If-Range": packed.headers["etag"]})
    assert (answer.status_code, answer.headers.get("content-encoding")) == (200, None)


@pytest.mark.parametrize("given_tag", ["*", "{}", '"x", {}'])
def test_if_match(client: httpx.Client, given_tag: str) -> None:
    """Whoever reads by parts may say of what: another answer is 412, and so is a weak tag."""
    path = f"{LAST}/spectrum?format=parquet"
    etag = client.get(path).headers["etag"]
    asked = {"If-Match": given_tag.format(etag)}
    assert part(client, path, "bytes=0-3", **asked).content == b"PAR1"
    for other in ('"other"', f"W/{etag}"):
        check_problem(client.get(path, headers={"If-Match": other}), 412, "If-Match")


def test_what_the_client_has_comes_first(client: httpx.Client) -> None:
    """If-None-Match is answered with 304, whatever part is asked for."""
    for path in (f"{LAST}/logits", f"{LAST}/spectrum", f"{LAST}/model.onnx"):
        for tag in (client.get(path, headers=PLAIN).headers["etag"], "*"):
            answer = part(client, path, "bytes=0-9", **{"If-None-Match": tag})
            assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "by_parts"),
    [
        (f"{LAST}/logits", True),
        (f"{LAST}/measures?keys=own&format=parquet", True),
        (f"{LAST}/model.onnx", True),
        (f"{RUN}/checkpoints/latest/model.onnx", True),  # a file is named by its digest
        (f"{LAST}/measures?format=parquet", False),
        (f"{LAST}/spectrum?format=csv", False),
        (f"{RUN}/checkpoints/latest/logits", False),
        (f"{RUN}/checkpoints/latest/predictions?format=csv", False),
        (f"{RUN}/trajectory?format=parquet", False),
        (f"{RUN}/checkpoints?format=csv", False),
        ("/v1/runs?format=csv", False),
    ],
)
def test_while_a_run_goes_on(unfinished: str, path: str, by_parts: bool) -> None:
    """What may change is answered whole: the parts could be of two answers."""
    answer = httpx.get(f"{unfinished}{path}", headers={"Range": "bytes=0-9"}, timeout=60)
    assert answer.status_code == (206 if by_parts else 200)
    assert answer.headers.get("accept-ranges") == ("bytes" if by_parts else None)


@pytest.mark.parametrize("label", ["first", "latest", "memorised"])
def test_labels_of_a_run_that_has_ended(client: httpx.Client, label: str) -> None:
    """They do not move any more, and have the very bytes of the step."""
    path = f"{RUN}/checkpoints/{label}/spectrum?format=parquet"
    answer = part(client, path, "bytes=0-")
    assert answer.status_code == 206
    numbered = client.get(answer.headers["content-location"], headers=PLAIN)
    assert (numbered.content, numbered.headers["etag"]) == (answer.content, answer.headers["etag"])


def runs(client: httpx.Client) -> float:
    """Runs of a model so far."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return next(s.value for s in samples if s.name == "grokprobe_inference_seconds_count")


@pytest.mark.parametrize("name", ["csv", "json", "arrow", "parquet"])
def test_an_answer_is_made_once_for_all_its_parts(fresh: Served, name: str) -> None:
    """Ten ranges after a HEAD: no run of the model more, though no grid is kept."""
    path = f"{RUN}/checkpoints/100/logits?format={name}"
    size = int(fresh.client.head(path, headers=PLAIN).headers["content-length"])
    before = runs(fresh.client)
    for start in range(0, size, size // 10):
        part(fresh.client, path, f"bytes={start}-{start + 9}")
    assert runs(fresh.client) == before
    fresh.client.get(f"{path}&x=1")
    fresh.client.get(f"{RUN}/checkpoints/80/logits?format={name}")
    assert runs(fresh.client) > before


def test_parts_of_a_stream(wide: Served) -> None:
    """Of a grid that is not kept: the blocks asked for alone, in constant memory, of npy."""
    path = "/v1/runs/wide/checkpoints/0/logits"
    rows, start = 251 * 251, 40_000
    wide.client.get("/v1/runs/wide/checkpoints/0/predictions?a=1&b=2")
    before = peak_bytes(wide)
    size = int(wide.client.head(path).headers["content-length"])
    head = size - 4 * 251 * rows
    for first in (head + 4 * 251 * start, head, 0):
        found = part(wide.client, path, f"bytes={first}-{first + 4 * 251 * 3 - 1}").content
        if first >= head:
            row = (first - head) // (4 * 251)
            pairs = [[(row + i) // 251, (row + i) % 251] for i in range(3)]
            asked = {"pairs": pairs, "include": ["logits"]}
            answer = wide.client.post(f"{path.removesuffix('logits')}predictions", json=asked)
            expected = [one["logits"] for one in answer.json()["predictions"]]
            values = np.frombuffer(found, np.float32).reshape(3, 251)
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    assert (
        part(wide.client, path, "bytes=-4").content
        == part(wide.client, path, f"bytes={size - 4}-").content
    )
    assert peak_bytes(wide) - before < 40e6


def test_what_is_too_large_to_keep_is_answered_whole(wide: Served) -> None:
    """Text has no length before it is written: HEAD then says that there are no parts."""
    home, little = wide.log.parent, {"GROKPROBE_ANSWER_CACHE_BYTES": "200000"}
    with serving(settings_at(home), home, **little) as few:
        path = "/v1/runs/wide/checkpoints/0/predictions?format=csv"
        head = few.client.head(path, headers=PLAIN)
        assert (head.headers["accept-ranges"], head.headers.get("content-length")) == ("none", None)
        answer = part(few.client, path, "bytes=0-9")
        assert (answer.status_code, len(answer.text.splitlines())) == (200, 1 + 251**2)
        gauge = "grokprobe_answer_cache_bytes 1.0\n"
        assert gauge in few.client.get("/metrics").text
