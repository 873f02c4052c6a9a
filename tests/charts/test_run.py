"""The charts of a run: what they draw is what the API answers, whatever it lacks."""

from collections.abc import Sequence
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokprobe.analysis.emergence import held, phases, transition
from grokprobe.analysis.lasting import intervals
from grokprobe.colours import DARK, LIGHT, THEMES, Theme
from service.charts.axes import step_axis
from service.charts.cells import shades
from service.charts.run.pairs import NEVER, NO_ANSWER, pairs
from service.charts.run.spectra import apart, columns_of_steps, spectra
from service.charts.run.trajectory import DRAWN, FEW, LOSS, trajectory
from tests.service.test_api import RUN, get
from tests.support.pictures import Faults
from tests.support.specs import image, picture, rows, texts

themes = st.sampled_from(list(THEMES.values()))
steps_of_runs = st.lists(st.integers(0, 10**6), max_size=7, unique=True).map(sorted)
numbers = st.none() | st.floats(0, 1) | st.floats(0, 1e4)
few = settings(max_examples=25)


def answer_of(steps: Sequence[int], **measures: Sequence[Any]) -> dict[str, Any]:
    """A trajectory."""
    found = [{"step": s, **{n: v[i] for n, v in measures.items()}} for i, s in enumerate(steps)]
    return {"run": "r", "provisional": False, "keys": None, "trajectory": found}


def emergence_of(
    steps: Sequence[int],
    train: Sequence[float | None],
    test: Sequence[float | None],
    provisional: bool = False,
) -> dict[str, Any]:
    """What the charts read of a run's emergence."""
    memorised = held(steps, train)
    found: dict[str, Any] = msgspec.to_builtins(
        {
            "provisional": provisional,
            "memorised": memorised,
            "generalised": held(steps, test),
            "intervals": intervals(steps, test),
            "phases": phases(memorised, transition(steps, test)),
        }
    )
    return found


@st.composite
def trajectories(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """A trajectory of any measures, some with parts, and the emergence of the same run."""
    steps = draw(steps_of_runs)
    names = [*DRAWN, "train_log_probability_q01", "phase_misalignment", "gradient_symmetricity"]
    named = draw(st.lists(st.sampled_from(names), unique=True))
    length: dict[str, Any] = {"min_size": len(steps), "max_size": len(steps)}
    measures: dict[str, list[Any]] = {name: draw(st.lists(numbers, **length)) for name in named}
    parts = st.none() | st.dictionaries(st.sampled_from(["3", "W_in"]), st.floats(0, 9))
    if draw(st.booleans()):
        measures["effective_rank_weights"] = [draw(parts) for _ in steps]
    shares = st.none() | st.sampled_from([0.0, 0.5, 1.0])
    train, test = (draw(st.lists(shares, **length)) for _ in range(2))
    emergence = draw(st.none() | st.just(emergence_of(steps, train, test, draw(st.booleans()))))
    return answer_of(steps, **measures), emergence


@few
@given(trajectories(), themes, st.booleans())
def test_any_trajectory(
    answers: tuple[dict[str, Any], dict[str, Any] | None], theme: Theme, logarithmic: bool
) -> None:
    """Every number is drawn at its step, null is a gap, and each bracket is the answer's."""
    answer, emergence = answers
    chart = trajectory(answer, theme, emergence=emergence, logarithmic=logarithmic)
    picture(chart, theme)
    least = 1 if logarithmic else 0
    drawn = {(row["series"], row["step"]): row["value"] for row in rows(chart, "series")}
    for row in answer["trajectory"]:
        for name, value in row.items():
            for part, number in value.items() if isinstance(value, dict) else [("", value)]:
                key = (f"{name} {part}".strip().replace("_", " "), max(row["step"], least))
                if number is not None and name != "step":
                    shown = number > 0 or "loss" not in name
                    assert drawn[key] == (number if shown else None) or (
                        logarithmic and key[1] == 1
                    )
    if emergence and answer["trajectory"]:
        first = answer["trajectory"][0]["step"]
        found = {row["row"]: (row["from"], row["to"]) for row in _brackets(chart)}
        for name in ("memorised", "generalised"):
            if known := emergence[name]:
                before = first if known["previous_step"] is None else known["previous_step"]
                assert found[name] == (max(before, least), max(known["step"], least))
                assert f"{name} " in texts(chart)
            else:
                assert f"not {name}" in texts(chart)


def _brackets(chart: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart["vconcat"][0]["layer"][-1]["data"]["values"]
    return found


def test_gaps_and_points() -> None:
    """A null leaves a gap; points stand where checkpoints are few, or alone among many."""
    many = list(range(FEW + 2))
    values = [0.5, None, 0.5, None, *[0.5] * (FEW - 2)]
    chart = trajectory(answer_of(many, accuracy=values), LIGHT)
    line, points = (layer["data"]["values"] for layer in chart["vconcat"][0]["layer"])
    assert [row["value"] for row in line] == values
    assert [row["step"] for row in points] == [0, 2]
    one = trajectory(answer_of([7], train_loss=[2.0], test_loss=[None]), DARK)
    assert len([row for row in rows(one, "series") if row["marked"]]) == 2  # line and point
    assert {row["series"] for row in rows(one, "series")} == {"train loss"}


def test_panels_are_of_one_unit() -> None:
    """Losses stand on a logarithmic axis, other measures with those of their unit."""
    measures = ["test_loss", "key_share", "weight_norm", "phase_resultant", "phase_misalignment"]
    chart = trajectory(answer_of([0, 1], **{name: [1.0, 0.5] for name in measures}), LIGHT)
    axes = [panel["layer"][-1]["encoding"]["y"] for panel in chart["vconcat"]]
    assert [y["title"] for y in axes] == [
        LOSS,
        "accuracy, share",
        "sum of squared weights",
        "phase (radians)",
    ]
    assert [y["scale"].get("type") for y in axes] == ["log", None, None, None]


@st.composite
def spectra_answers(draw: st.DrawFn) -> dict[str, Any]:
    """Spectra by frequency, or of s5 by irrep."""
    steps = draw(steps_of_runs)
    irreps: list[Any] = ["sign", "standard", "standard x sign"]
    names: list[Any] = draw(st.sampled_from([[1], list(range(1, 57)), irreps]))
    value = draw(st.sampled_from(["share", "power"]))
    most = 1 if value == "share" else 1e4
    known = st.lists(st.floats(0, most), min_size=len(names), max_size=len(names))
    found = [{"step": s, "values": draw(known | st.just([None] * len(names)))} for s in steps]
    return {"run": "r", "of": "embedding", "value": value, "frequencies": names, "spectra": found}


@few
@given(spectra_answers(), themes, st.lists(st.integers(1, 56), max_size=5, unique=True))
def test_any_spectra(answer: dict[str, Any], theme: Theme, keys: list[int]) -> None:
    """Each pixel has the colour of the value at the checkpoint whose step is nearest."""
    chart = spectra(answer, theme, keys=keys)
    picture(chart, theme)
    pixels, names = image(chart), answer["frequencies"]
    marked = {row["key"] for row in rows(chart, "label_at")}
    assert marked == {key for key in keys if key <= len(names)}
    found = [row["values"] for row in answer["spectra"]]
    most = max((v for values in found for v in values if v is not None), default=0.0)
    steps = [row["step"] for row in answer["spectra"]]
    wanted, palette = shades(
        np.array(found, float).reshape(-1, len(names)), theme.sequential, 0, most, theme.undefined
    )
    for step, row in zip(steps, wanted, strict=True):
        low, high = (steps[0], steps[-1]) if len(steps) > 1 else (step - 1, step + 1)
        if (len(steps) > 1) and min(abs(step - s) for s in steps if s != step) * 560 < 4 * (
            high - low
        ):
            continue  # narrower than a column of pixels
        column = min(int((step - low) / (high - low) * pixels.shape[1]), pixels.shape[1] - 1)
        for number, index in enumerate(row):
            y = int((len(names) - number - 0.5) * pixels.shape[0] / len(names))
            assert pixels[y, column].tolist() == list(bytes.fromhex(palette[index][1:]))


def test_the_step_axis_is_true() -> None:
    """Checkpoints have columns up to half way to their neighbours."""
    found = columns_of_steps([0, 10, 100], np.array([[1.0], [2.0], [3.0]]), 100)
    assert found[:, 0].tolist() == [1.0] * 5 + [2.0] * 50 + [3.0] * 45


def test_labels_are_kept_apart() -> None:
    """Each a gap below the last, and none below the least."""
    assert apart([9, 8.9, 2], 1, 0) == [9, 8, 2]
    assert apart([1, 0.9, 0.8], 1, 0.5) == [2.5, 1.5, 0.5]
    assert apart([], 1, 0) == []


@st.composite
def pairs_answers(draw: st.DrawFn) -> dict[str, Any]:
    """A learning order, with or without a split, with pairs that have no answer."""
    steps, p = draw(steps_of_runs), draw(st.integers(2, 4))
    when = st.none() | st.sampled_from(steps) if steps else st.none()
    splits: list[list[str | None]] = [[None], ["train"], ["train", "test"]]
    split = draw(st.sampled_from(splits))
    found = []
    for a in range(p):
        for b in range(p):
            answered = draw(st.booleans())
            part = draw(st.sampled_from(split))
            mirrored = draw(st.none() | st.booleans()) if part else None
            step = draw(when) if answered else None
            found.append(
                {"a": a, "b": b, "answer": (a + b) % p if answered else None, "split": part}
                | {"mirror_in_train": mirrored, "step": step}
            )
    ends = {"first_step": min(steps, default=None), "last_step": max(steps, default=None)}
    return {"run": "r", "provisional": draw(st.booleans()), "pairs": found, **ends}


@few
@given(pairs_answers(), themes, st.booleans())
def test_any_learning_order(answer: dict[str, Any], theme: Theme, logarithmic: bool) -> None:
    """The last share of each part is that of its pairs with a step; cells without one say so."""
    chart = pairs(answer, theme, logarithmic=logarithmic)
    picture(chart, theme)
    count = sum(pair["step"] is not None for pair in answer["pairs"])
    assert f"{count} of {len(answer['pairs'])} pairs" in texts(chart)
    pixels = image(chart)
    side = pixels.shape[0] // (1 + answer["pairs"][-1]["a"])
    special = {NEVER: theme.wrong, NO_ANSWER: theme.undefined}
    for pair in answer["pairs"]:
        colour = "#" + bytes(pixels[pair["a"] * side, pair["b"] * side].tolist()).hex()
        if pair["answer"] is None:
            assert colour == special[NO_ANSWER]
        else:
            assert (colour == special[NEVER]) == (pair["step"] is None)
    shown = {row["shown"] for row in rows(chart, "shown")}
    assert (NO_ANSWER in shown) == any(pair["answer"] is None for pair in answer["pairs"])


@pytest.fixture
def answers(client: httpx.Client) -> dict[str, Any]:
    """What a service answers of a run that was really trained."""
    names = ",".join(DRAWN)
    return {
        "trajectory": get(client, f"{RUN}/trajectory", measures=names),
        "emergence": get(client, f"{RUN}/emergence"),
        "spectra": get(client, f"{RUN}/spectra"),
        "pairs": get(client, f"{RUN}/pairs"),
        **{by: get(client, f"{RUN}/pairs", by=by) for by in ("answer", "difference", "mirror")},
    }


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_charts_of_a_real_run(answers: dict[str, Any], theme: Theme, faults: Faults) -> None:
    """In a browser no text is cut off or meets another; shares and steps are the answer's."""
    emergence = answers["emergence"]
    keys = emergence["keys"]["frequencies"] if emergence["keys"] else []
    charts = [
        trajectory(answers["trajectory"], theme, emergence=emergence),
        trajectory(answers["trajectory"], theme, emergence=emergence, logarithmic=True),
        spectra(answers["spectra"], theme, keys=keys),
        pairs(answers["pairs"], theme),
        *(pairs(answers[by], theme) for by in ("answer", "difference", "mirror")),
    ]
    assert [fault for chart in charts for fault in faults(picture(chart, theme))] == []
    found = answers["pairs"]["pairs"]
    for row in rows(pairs(answers["pairs"], theme, logarithmic=False), "share", "pairs"):
        if row["pairs"] == "train":
            train = [pair["step"] for pair in found if pair["split"] == "train"]
            learnt = sum(step is not None and step <= row["step"] for step in train)
            assert row["share"] == learnt / len(train)
    for by in ("answer", "difference", "mirror"):
        drawn = rows(pairs(answers[by], theme, logarithmic=False), "learnt")
        assert [row["step"] if row["learnt"] else None for row in drawn] == [
            row["half_step"] for row in answers[by]["sums"]
        ]


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("by", ["answer", "difference", "mirror"])
def test_sums_of_nothing(by: str, logarithmic: bool) -> None:
    """An order without residues has no differences, a run without a split no mirrors: a note."""
    answer = {"run": "r", "by": by, "provisional": False, "first_step": 0, "last_step": 2}
    chart = pairs(answer | {"sums": []}, LIGHT, logarithmic=logarithmic)
    picture(chart, LIGHT)
    assert "no" in chart["title"]["subtitle"][0]


def test_a_run_of_an_unknown_split() -> None:
    """Whether it memorised is not told; and what has no value at all is drawn without a legend."""
    for known in ([{"step": 5, "train_loss": None}], []):
        chart = trajectory({"run": "r", "trajectory": known}, LIGHT)
        picture(chart, LIGHT)
        assert ("nobody knows when it memorised" in texts(chart)) == bool(known)
        assert "not memorised" not in texts(chart)


@pytest.mark.parametrize(
    ("steps", "values"), [([0, 1, 2], [0, 1, 2]), ([3], [3]), ([], [0, 1]), ([0, 7], None)]
)
def test_ticks_are_at_steps(steps: list[float], values: list[int] | None) -> None:
    """Of a few steps each has one; there is none between two."""
    assert step_axis(steps)["axis"].get("values") == values
