"""Charts of a checkpoint: the numbers of an answer, drawn, whatever may lack in it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokprobe.analysis.fourier import Array
from grokprobe.colours import LIGHT, THEMES
from grokprobe.errors import InvalidInput
from service.charts.activations import activations
from service.charts.circle import circle
from service.charts.frame import Spec
from service.charts.neurons import neurons
from service.charts.pair import pair
from service.charts.predictions import predictions
from service.charts.spectrum import spectrum
from tests.support import answers
from tests.support.answers import group
from tests.support.charted import cells, check, drawn, rgb, rows, subtitle
from tests.support.pictures import Faults

S5 = group("s5", 120)


def waves(order: int, *frequencies: int, noise: float = 0.05) -> Array:
    """Rows (order, 8) on circles of these frequencies."""
    angles = 2 * np.pi * np.outer(np.arange(order), frequencies) / order
    M = np.random.default_rng(1).normal(size=(order, 8)) * noise
    M[:, : 2 * len(frequencies)] += np.hstack([np.cos(angles), np.sin(angles)])
    return M


def dense(width: int = 24, order: int = 120) -> Array:
    """Rows of noise."""
    return np.random.default_rng(2).normal(size=(order, width))


TINY_GROUPS = {"2": group("add", 2), "3": group("add", 3), "mul 3": group("mul", 3)}
CIRCLES: dict[str, Any] = {
    "59": answers.embedding(group("add", 59), waves(59, 3), frequency=3),
    "113": answers.embedding(group("add", 113), waves(113, 1), frequency=1),
    "mul": answers.embedding(group("mul", 13), waves(12, 5), frequency=5),
    "pca": answers.embedding(group("add", 59), waves(59, 3), "pca"),
    "pca of a frequency": answers.embedding(group("add", 59), waves(59, 3), "pca", frequency=3),
    "raw in three": answers.embedding(group("add", 13), waves(13, 3), "raw", dimensions=3),
    "raw in one": answers.embedding(group("add", 13), waves(13, 3), "raw", dimensions=1),
    "S_5": answers.embedding(S5, dense(), "pca"),
    "509": answers.embedding(group("add", 509), waves(509, 7), frequency=7),
    "3": answers.embedding(group("add", 3), waves(3, 1)),
    "2": answers.embedding(group("add", 2), waves(2), "pca"),
    "zero": answers.embedding(group("add", 13), np.zeros((13, 8))),
    "zero pca": answers.embedding(group("add", 13), np.zeros((13, 8)), "pca"),
    "huge": answers.embedding(group("add", 13), 1e30 * waves(13, 1)),
    "blind": answers.embedding(group("add", 5), dense(40, 5)),
}
SPECTRA: dict[str, Any] = {
    "keys": answers.spectrum(group("add", 59), waves(59, 3, 17, 18), [3, 17, 18]),
    "null of shares": answers.spectrum(group("add", 59), waves(59, 3, 17), [3, 17], 20),
    "null of gini": answers.spectrum(
        group("add", 59), waves(59, 3), [3], 20, "gini_frequencies", of="neuron_logit_map"
    ),
    "no keys": answers.spectrum(group("mul", 13), waves(12, 5)),
    "provisional": answers.spectrum(group("add", 13), waves(13, 5), [5], provisional=True),
    "all keys": answers.spectrum(group("add", 13), dense(8, 13), [1, 2, 3, 4, 5, 6]),
    "empty keys": answers.spectrum(group("add", 13), dense(8, 13), []),
    "509": answers.spectrum(group("add", 509), waves(509, 7, 8, 9, 250), [7, 8, 9, 250], 10),
    "S_5": answers.spectrum(S5, dense()),
    "S_5 with a null": answers.spectrum(S5, dense(), draws=10),
    "S_5, equal rows": answers.spectrum(S5, np.ones((120, 3))),
    "equal rows": answers.spectrum(group("add", 13), np.ones((13, 3)), []),
    **{name: answers.spectrum(basis, dense(4, basis.order)) for name, basis in TINY_GROUPS.items()},
}
GRIDS: dict[str, Any] = {
    "13": answers.predictions(13),
    "no split": answers.predictions(13, split=False),
    "undefined": answers.predictions(13, defined=False),
    "2": answers.predictions(2),
    "113": answers.predictions(113),
}
PAIRS: dict[str, Any] = {
    "logits": answers.one_pair(59, np.linspace(-20, 31, 59).tolist()),
    "wrong": answers.one_pair(
        3, [0.5, 2.0, 1.0], answer=2, correct=False, split="train", loss=1e-12
    ),
    "undefined": answers.one_pair(
        13, list(range(13)), answer=None, correct=None, split=None, loss=None
    ),
    "top": answers.one_pair(13, top=[{"residue": r, "probability": 0.9 / 2**r} for r in range(13)]),
    "nothing else": answers.one_pair(13),
    "2": answers.one_pair(2, [0.0, 0.0]),
    "509": answers.one_pair(509, np.cos(np.arange(509)).tolist()),
}
UNITS: dict[str, Any] = {
    "neuron": answers.activations((dense(13, 13) ** 2).tolist()),
    "gelu": answers.activations(dense(13, 13).tolist()),
    "attention": answers.activations(
        np.full((3, 3), 0.5).tolist(), "attention", 4, head=1, token=1
    ),
    "logit": answers.activations((1000 * dense(59, 59)).tolist(), "logits", 58),
    "dead": answers.activations(np.zeros((13, 13)).tolist()),
    "nulls": answers.activations([[None, 1.0], [-2.0, math.inf]]),
    "only nulls": answers.activations([[None, None], [None, None]]),
}
SOME = [(3, 0.9), (3, 0.99), (3, 0.2), (5, 0.85), (None, 0.0), (6, 0.849)]
NEURONS: dict[str, Any] = {
    "some": answers.neurons(13, SOME),
    "dead": answers.neurons(13, [(None, 0.0)] * 4),
    "one": answers.neurons(3, [(1, 1.0)]),
    "2": answers.neurons(2, [(1, 1.0), (1, 0.0)]),
    "many": answers.neurons(509, [(1 + n % 254, 0.5 + n % 2 * 0.4) for n in range(1024)]),
}
CASES: dict[str, tuple[Any, Any]] = {
    f"{chart.__name__}, {name}": (chart, answer)
    for chart, found in [
        (circle, CIRCLES),
        (spectrum, SPECTRA),
        (predictions, GRIDS),
        (pair, PAIRS),
        (activations, UNITS),
        (neurons, NEURONS),
    ]
    for name, answer in found.items()
}
EVERY = pytest.mark.parametrize(("chart", "answer"), CASES.values(), ids=CASES)


@EVERY
def test_vega_lite_has_nothing_to_say_against_it(chart: Any, answer: Any) -> None:
    """Neither version 5 nor 6."""
    check(chart(answer, LIGHT))


@EVERY
@pytest.mark.parametrize("theme", THEMES)
def test_nothing_overlaps_or_is_cut_off(
    faults: Faults, chart: Any, answer: Any, theme: str
) -> None:
    """In fonts as wide as those of Linux, macOS and Windows."""
    assert faults(drawn(chart(answer, THEMES[theme]), theme)) == []


@pytest.mark.parametrize("answer", CIRCLES.values(), ids=CIRCLES)
def test_residues_lie_where_the_answer_says(answer: Any) -> None:
    """With the angle due at the frequency, by their place in the group."""
    spec = circle(answer, LIGHT)
    order, frequency = answer["basis"]["order"], answer["frequency"] or 1
    found = rows(spec, "circle")
    for element, (row, point) in enumerate(zip(answer["coordinates"], found, strict=True)):
        name, x, *rest = row
        assert (point["residue"], point["x"]) == (row[name], row[x])
        assert point["y"] == (row[rest[0]] if rest else 0)
        assert point["angle"] == pytest.approx(2 * math.pi * frequency * element / order % math.tau)
    x, y = (spec["layer"][-1]["encoding"][axis]["scale"]["domain"] for axis in "xy")
    assert x[1] - x[0] == pytest.approx(y[1] - y[0])
    assert spec["width"] == spec["height"]
    assert all(x[0] < p["x"] < x[1] and y[0] < p["y"] < y[1] for p in found)


def test_a_circle_tells_its_r_squared_and_null() -> None:
    """Of the answer; its note too."""
    told = subtitle(circle(CIRCLES["59"], LIGHT))
    found = CIRCLES["59"]["circle"]
    assert (
        f"r² {found['r_squared']:.3g} (best of 200 permutations {found['null']['max']:.3g})" in told
    )
    assert "no null: too few residues" in subtitle(circle(CIRCLES["3"], LIGHT))
    assert "says nothing" in subtitle(circle(CIRCLES["blind"], LIGHT))
    assert "no circle" in subtitle(circle(CIRCLES["zero"], LIGHT))


@pytest.mark.parametrize(
    ("name", "lines", "count"), [("59", 20, 59), ("mul", 5, 12), ("59", 59, 0)]
)
def test_lines_join_each_element_to_a_later_one(name: str, lines: int, count: int) -> None:
    """Around the group; to itself there is none."""
    answer = CIRCLES[name]
    found = rows(circle(answer, LIGHT, lines=lines), "rule")
    points = answer["coordinates"]
    joined = [(line["x"], line["y"], line["x2"], line["y2"]) for line in found]
    order = len(points)
    expected = [
        (one["x"], one["y"], points[(i + lines) % order]["x"], points[(i + lines) % order]["y"])
        for i, one in enumerate(points)
    ]
    assert joined == expected[:count]


def test_there_are_no_lines_in_a_group_without_an_order() -> None:
    """S_5."""
    with pytest.raises(InvalidInput, match="S_5"):
        circle(CIRCLES["S_5"], LIGHT, lines=1)


def test_labels_are_all_there_where_they_fit() -> None:
    """Few residues have all their names, many as many as do not meet."""
    assert len(rows(circle(CIRCLES["mul"], LIGHT), "text")) == 12
    assert 40 < len(rows(circle(CIRCLES["113"], LIGHT), "text")) < 113


@pytest.mark.parametrize("answer", SPECTRA.values(), ids=SPECTRA)
def test_bars_are_the_shares(answer: Any) -> None:
    """Or the power, where there are no shares; keys are coloured and named."""
    spec = spectrum(answer, LIGHT)
    value = "power" if answer["spectrum"][0]["share"] is None else "share"
    place = "frequency" if answer["basis"]["group"] != "S_5" else "irrep"
    found = [(bar[place], bar[value]) for bar in rows(spec, "bar")]
    assert found == [(row[place], row[value]) for row in answer["spectrum"]]
    if place == "frequency":
        keys = [bar["frequency"] for bar in rows(spec, "bar") if bar["kind"].startswith("key")]
        assert keys == (answer["key_frequencies"] or [])
        assert {row["frequency"] for row in rows(spec, "text")} <= set(keys)


def test_the_null_is_drawn_where_it_is_a_share() -> None:
    """At its largest draw; another statistic is told."""
    answer = SPECTRA["null of shares"]
    assert rows(spectrum(answer, LIGHT), "rule")[0]["level"] == answer["null"]["max"]
    assert "null of the Gini coefficient: " in subtitle(spectrum(SPECTRA["null of gini"], LIGHT))
    for name in ("null of gini", "keys", "equal rows"):
        assert all("level" not in row for row in _values(spectrum(SPECTRA[name], LIGHT)))


def test_noise_of_an_irrep_has_its_share() -> None:
    """d^2 of 119."""
    ticks = rows(spectrum(SPECTRA["S_5"], LIGHT), "tick")
    dimensions = [row["dimension"] for row in SPECTRA["S_5"]["spectrum"]]
    assert [tick["share"] for tick in ticks] == pytest.approx([d**2 / 119 for d in dimensions])


def _values(spec: Spec) -> list[dict[str, Any]]:
    return [row for layer in spec["layer"] for row in layer["data"]["values"]]


@pytest.mark.parametrize("answer", GRIDS.values(), ids=GRIDS)
def test_cells_are_right_or_wrong(answer: Any) -> None:
    """Each in its colour: those of the training part paler, undefined ones grey."""
    spec, p = predictions(answer, LIGHT), answer["modulus"]
    found = cells(spec, (p, p))
    for row in answer["predictions"]:
        full = {True: LIGHT.test, False: LIGHT.wrong, None: LIGHT.undefined}[row["correct"]]
        colour, pale = found[row["a"], row["b"]].tolist(), row["split"] == "train"
        assert (colour == rgb(full)) != pale
        assert sum(colour) > sum(rgb(full)) or not pale
    right = [row["correct"] for row in answer["predictions"] if row["split"] == "test"]
    if right:
        assert f"test: {100 * sum(right) / len(right):.1f} % of {len(right):,}" in subtitle(spec)


@pytest.mark.parametrize("answer", PAIRS.values(), ids=PAIRS)
def test_bars_are_the_logits_of_a_pair(answer: Any) -> None:
    """Else the probabilities of the likeliest; the prediction and the answer are marked."""
    (row,), spec = answer["predictions"], pair(answer, LIGHT)
    bars = {bar["residue"]: bar for bar in rows(spec, "bar")}
    if "logits" in row:
        assert [bars[c]["logit"] for c in range(answer["modulus"])] == row["logits"]
    for one in row.get("top", []):
        assert bars[one["residue"]]["probability"] == one["probability"]
    assert "predicted" in bars[row["predicted"]]["kind"]
    if row["answer"] in bars:
        assert "the answer" in bars[row["answer"]]["kind"]
    assert ("no answer is defined" in subtitle(spec)) == (row["answer"] is None)


@pytest.mark.parametrize("answer", UNITS.values(), ids=UNITS)
def test_shades_are_the_values_of_a_unit(answer: Any) -> None:
    """The extremes have the colours of the legend's ends, zero that of nothing."""
    values = np.array(answer["activations"], dtype=float)
    values[~np.isfinite(values)] = np.nan
    spec = activations(answer, LIGHT)
    found = cells(spec, values.shape)
    ramp = spec["layer"][1]["encoding"]["fill"]["scale"]
    signed = bool((values < 0).any())
    assert ramp["range"] == list(LIGHT.diverging if signed else LIGHT.sequential)
    assert (found[np.isnan(values)] == rgb(LIGHT.undefined)).all()
    most = np.nanmax(np.abs(values), initial=0) or 1.0
    assert ramp["domain"][0] == (-most if signed else 0)
    assert ramp["domain"][-1] == most
    for level, colour in zip(ramp["domain"], ramp["range"], strict=True):
        assert (np.abs(found[values == level].astype(int) - rgb(colour)) <= 1).all()


def test_units_are_named() -> None:
    """By head and token, by answer."""
    titles = {name: " ".join(activations(UNITS[name], LIGHT)["title"]["text"]) for name in UNITS}
    assert titles["attention"] == "Attention of head 1 to b"
    assert titles["logit"] == "Logit of 58"
    assert titles["neuron"] == "Neuron 5"


@pytest.mark.parametrize("answer", NEURONS.values(), ids=NEURONS)
def test_neurons_stand_at_their_frequencies(answer: Any) -> None:
    """Each live one is counted and drawn; those of clusters are told apart."""
    spec = neurons(answer, LIGHT)
    live = [row for row in answer["neurons"] if row["frequency"]]
    dots = rows(spec, "point")
    assert [(d["neuron"], d["frequency"], d["fve"]) for d in dots] == [
        (row["neuron"], row["frequency"], row["fve"]) for row in live
    ]
    bars = rows(spec, "bar")
    clustered = {bar["frequency"]: bar["neurons"] for bar in bars if bar["kind"] == "clustered"}
    assert clustered == {c["frequency"]: c["neurons"] for c in answer["clusters"]}
    assert sum(bar["neurons"] for bar in bars) == len(live)
    told = f"{answer['unclustered']} unclustered, {answer['dead']} dead"
    assert told in subtitle(spec)


finite = st.floats(-1e6, 1e6)
share = st.none() | st.floats(0, 1)


@settings(max_examples=30)
@given(
    st.sampled_from([2, 3, 13, 59]),
    st.data(),
)
def test_any_spectrum_is_drawn(order: int, data: st.DataObject) -> None:
    """Whatever is null."""
    answer = answers.spectrum(group("add", order), dense(4, order))
    keys = data.draw(st.none() | st.booleans())
    answer["provisional"] = data.draw(st.booleans())
    for row in answer["spectrum"]:
        row |= {
            "share": data.draw(share),
            "key": None if keys is None else data.draw(st.booleans()),
        }
    for name in ("gini_frequencies", "key_frequencies"):
        answer[name] = None if data.draw(st.booleans()) else answer[name]
    check(spectrum(answer, LIGHT))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(finite | st.none(), finite | st.none()), min_size=2, max_size=30),
    st.sampled_from(["frequency", "pca", "raw"]),
    st.integers(0, 5),
)
def test_any_points_are_drawn(points: list[tuple[Any, Any]], projection: str, lines: int) -> None:
    """Those without a place are left out, and that is said."""
    answer = dict(CIRCLES["3"], projection=projection, explained_share=None)
    answer["basis"] = answer["basis"] | {"order": len(points)}
    answer["coordinates"] = [{"residue": n, "x": x, "y": y} for n, (x, y) in enumerate(points)]
    spec = circle(answer, LIGHT, lines=lines)
    check(spec)
    lacking = sum(None in point for point in points)
    assert ("without finite coordinates" in subtitle(spec)) == (lacking > 0)
    assert len(rows(spec, "circle")) == len(points) - lacking
