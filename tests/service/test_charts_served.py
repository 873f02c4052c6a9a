"""Every chart by its route, in every format: what is drawn is the answer that the API gives."""

from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest

from grokprobe.colours import DARK, LIGHT
from service.charts.activations import activations
from service.charts.circle import circle
from service.charts.comparison import comparison
from service.charts.drawing import Chart
from service.charts.frame import frame
from service.charts.group.distributions import distribution
from service.charts.group.precursors import precursors
from service.charts.group.survival import survival
from service.charts.neurons import neurons
from service.charts.pair import pair
from service.charts.predictions import predictions
from service.charts.run.pairs import pairs
from service.charts.run.spectra import spectra
from service.charts.run.trajectory import DRAWN as OF_A_RUN
from service.charts.run.trajectory import trajectory
from service.charts.spectrum import spectrum
from tests.service.test_api import LAST, LATEST, RUN, get
from tests.service.test_api_groups import over, published
from tests.support.drawn import DRAWN, data, size, texts
from tests.support.grouped import GROUP
from tests.support.served import Served

__all__ = ["over", "published"]  # fixtures

MEASURES = ",".join(OF_A_RUN)


def of_one_pair(client: httpx.Client) -> Any:
    """What the API says of a pair, with its logits."""
    body = {"pairs": [[3, 5]], "include": ["logits"]}
    return client.post(f"{LAST}/predictions", json=body).json()


def with_emergence(client: httpx.Client) -> Chart:
    """The chart of a trajectory above which the run's emergence stands."""
    return partial(trajectory, emergence=get(client, f"{RUN}/emergence"))


def with_keys(client: httpx.Client) -> Chart:
    """The chart of spectra in which the run's keys are marked."""
    return partial(spectra, keys=get(client, f"{LAST}/spectrum")["key_frequencies"])


Asked = str | Callable[[httpx.Client], Any]
# A picture's path; its chart, or what makes it; the answer that it is of, where its path's is not.
CHARTS: list[tuple[str, Chart | Callable[[httpx.Client], Chart], Asked | None]] = [
    (f"{LAST}/embedding", circle, None),
    (f"{LAST}/embedding?projection=pca&lines=3", partial(circle, lines=3), "projection=pca"),
    (f"{LAST}/embedding?projection=raw&of=unembedding", circle, None),
    (f"{LAST}/spectrum", spectrum, None),
    (f"{LAST}/spectrum?of=logits&null=20&statistic=max_share", spectrum, None),
    (f"{LAST}/neurons", neurons, None),
    (f"{LAST}/activations?index=3", activations, None),
    (f"{LAST}/activations?of=attention&index=2", activations, None),
    (f"{LAST}/predictions", predictions, None),
    (f"{LAST}/predictions?a=3&b=5", pair, of_one_pair),
    (f"{RUN}/spectra", with_keys, None),
    (f"{RUN}/trajectory", with_emergence, f"measures={MEASURES}"),
    (f"{RUN}/trajectory?from_step=100&to_step=300", with_emergence,
     f"measures={MEASURES}&from_step=100&to_step=300"),
    (f"{RUN}/pairs", pairs, None),
    (f"{RUN}/pairs?by=answer", pairs, None),
    (f"{RUN}/pairs?by=mirror", pairs, None),
    (f"/v1/compare?a=tiny/40&b=tiny/{LATEST}", comparison, None),
]  # fmt: skip
PATHS = [path for path, _, _ in CHARTS]


def asked(client: httpx.Client, path: str, chosen: str, **more: str) -> httpx.Response:
    """The answer to a path in a format."""
    query = httpx.URL(path).params.set("format", chosen).merge(more)
    answer = client.get(httpx.URL(path).path, params=query)
    assert answer.status_code == 200, answer.text
    return answer


def without_caption(spec: Any) -> Any:
    """A specification without what the frame says of whose it is."""
    return spec | {"title": None}


@pytest.mark.parametrize(("path", "chart", "of"), CHARTS, ids=PATHS)
def test_a_chart_is_of_the_answer(served: Served, path: str, chart: Any, of: Asked | None) -> None:
    """The specification is the chart of what the API answers as JSON, in either theme."""
    client, bare = served.client, httpx.URL(path).path
    chart = chart(client) if chart in (with_emergence, with_keys) else chart
    if callable(of):
        answer = of(client)
    else:
        answer = asked(client, path if of is None else f"{bare}?{of}", "json").json()
    for name, theme in {"light": LIGHT, "dark": DARK}.items():
        spec = asked(client, path, "vega-lite", theme=name).json()
        expected = frame(chart(answer, theme), theme, [])
        assert without_caption(spec) == without_caption(_plain(expected))
        assert spec["title"]["text"][0].startswith("run tiny")


@pytest.mark.parametrize(
    ("path", "has_keys"),
    [
        ("/v1/runs/tiny/trajectory", True),
        ("/v1/runs/tiny/spectra", True),
        (f"{LAST}/spectrum", True),
        ("/v1/compare?a=tiny/0&b=tiny/latest", True),
        (f"{LAST}/predictions", False),
    ],
)
def test_a_caption_tells_the_rule_of_the_keys(served: Served, path: str, has_keys: bool) -> None:
    """Once, in every picture that marks or uses key frequencies."""
    caption = asked(served.client, path, "vega-lite").json()["title"]["text"]
    told = [line for line in caption if line.startswith("key frequencies by the rule ")]
    assert len(told) == has_keys


def _plain(spec: Any) -> Any:
    """A specification as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(spec))


@pytest.mark.parametrize("chosen", DRAWN)
@pytest.mark.parametrize("path", PATHS)
def test_a_chart_is_drawn(served: Served, path: str, chosen: str) -> None:
    """Each in each format; asked again it is kept, with the same bytes."""
    answer = asked(served.client, path, chosen)
    assert answer.headers["content-type"].partition(";")[0] == DRAWN[chosen]
    wide, high = size(chosen, answer.content)
    assert 200 < wide < 2000
    assert 200 < high < 3000
    if chosen == "svg":
        assert "run tiny" in texts(answer.content)
    assert asked(served.client, path, chosen).content == answer.content


def test_the_numbers_are_those_of_the_answer(served: Served) -> None:
    """Coordinates of a circle and shares of a spectrum, digit by digit."""
    client = served.client
    points = get(client, f"{LAST}/embedding")["coordinates"]
    drawn = {row["residue"]: row for row in data(asked(client, f"{LAST}/embedding", "vega-lite")
             .json()) if "residue" in row and "x" in row}  # fmt: skip
    for row in points:
        found = drawn[row["residue"]]
        assert (found["x"], found["y"]) == (row["x"], row["y"])
    shares = {row["frequency"]: row["share"] for row in get(client, f"{LAST}/spectrum")["spectrum"]}
    bars = data(asked(client, f"{LAST}/spectrum", "vega-lite").json())
    assert {row["frequency"]: row["share"] for row in bars if "kind" in row} == shares


@pytest.mark.parametrize(
    ("what", "chart"),
    [
        ("emergence", distribution),
        ("emergence?chart=survival", survival),
        ("precursors", precursors),
    ],
)
def test_charts_of_groups(over: Served, what: str, chart: Chart) -> None:
    """The same of a group, whose ETag is weak and which is asked for again each time."""
    group, path = over.client, f"/v1/groups/{GROUP}/{what}"
    answer = asked(group, path.partition("?")[0], "json").json()
    spec = asked(group, path, "vega-lite")
    assert without_caption(spec.json()) == without_caption(
        _plain(frame(chart(answer, LIGHT), LIGHT, []))
    )
    assert spec.json()["title"]["text"][0].startswith("group ")
    for chosen in DRAWN:
        drawn = asked(group, path, chosen)
        assert min(size(chosen, drawn.content)) > 100
        assert drawn.headers["cache-control"] == "no-cache"
        tag = drawn.headers["etag"]
        assert tag.startswith('W/"')
        again = group.get(path, params={"format": chosen}, headers={"If-None-Match": tag})
        assert again.status_code in (200, 304)


@pytest.mark.parametrize("path", [f"{LAST}/embedding?lines=3", f"{LAST}/embedding?lines=0"])
def test_what_is_of_pictures_alone(served: Served, path: str) -> None:
    """Beside another format it is refused, not passed over."""
    answer = served.client.get(path)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("lines:")
    assert served.client.get(f"{LAST}/embedding?lines=-1&format=svg").status_code == 400


def test_what_has_no_picture_says_so(served: Served) -> None:
    """A question that has no answer is refused as before."""
    for path in (f"{LAST}/embedding?frequency=99", f"{LAST}/activations?index=999"):
        answer = served.client.get(path, params=httpx.URL(path).params.set("format", "svg"))
        assert answer.status_code == 400
    assert served.client.get(f"{LAST}/predictions?a=3&format=svg").status_code == 400
