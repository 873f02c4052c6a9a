"""The chart of two checkpoints."""

from typing import Any

import pytest

from grokprobe.colours import LIGHT, THEMES
from service.charts.comparison import MOST, comparison
from service.charts.frame import Spec
from service.v1.compare import CompareAnswer
from tests.support.answers import checked
from tests.support.charted import check, drawn, layers, rows, subtitle
from tests.support.pictures import Faults


def part(a: str | None, b: str | None, *accuracies: float) -> dict[str, Any]:
    """A part of the pairs."""
    names = ("changed", "right_to_wrong", "wrong_to_right", "loss_a", "loss_b", "loss_difference")
    zeros = dict.fromkeys([*names, "kl_a_b", "kl_b_a"], 0)
    both = dict(zip(("accuracy_a", "accuracy_b"), accuracies, strict=True))
    return {"split_a": a, "split_b": b, "pairs": 9} | zeros | both


def matrix(name: str, distance: float | None, a: float | None, b: float | None) -> dict[str, Any]:
    """A parameter of both, or of one."""
    shapes: dict[str, Any] = {
        f"shape_{n}": None if x is None else [2] for n, x in (("a", a), ("b", b))
    }
    figures = {"norm_a": a, "norm_b": b, "distance": distance, "cosine": None}
    return {"name": name, "identical": False} | figures | shapes


def key(frequency: int, change: str, a: float | None, b: float | None) -> dict[str, Any]:
    """A key frequency of either."""
    more: tuple[str, ...] = ("overlap", "overlap_chance", "alignment", "alignment_chance")
    more += ("anisotropy_a", "anisotropy_b", "phase_a", "phase_b")
    shares = {"share_a": a, "share_b": b}
    return {"frequency": frequency, "change": change} | shares | dict.fromkeys(more)


def answer(**more: Any) -> dict[str, Any]:
    """Two steps of a run."""
    whole: dict[str, Any] = {
        "a": {"run": "tiny", "step": 300, "sha256": "a" * 64},
        "b": {"run": "tiny", "step": 3000, "sha256": "b" * 64},
        "identical": None,
        "basis": {"group": "Z_13", "order": 13, "reindex": "natural", "generator": None},
        "parts": [
            part(None, None, 0.4, 1.0),
            part("train", "train", 1.0, 1.0),
            part("test", "test", 0.1, 1.0),
        ],
        "changed": {"right_to_wrong": [3], "wrong_to_right": [1, 2]},
        "weights": [matrix("W_E", 3.0, 2.0, 4.0), matrix("W_U", 5.0, 6.0, 1.0)],
        "all_weights": {"distance": 5.8, "cosine": 0.4},
        "embedding": {"cka": 0.4, "null_mean": 0.2},
        "neurons": {"cka": 0.3, "null_mean": 4e-3},
        "planes": None,
        "keys": [
            key(2, "kept", 0.1, 0.5),
            key(3, "gained", 0.05, 0.4),
            key(5, "lost", 0.3, 0.01),
        ],
        "absent": {},
    }
    return checked(whole | more, CompareAnswer)


LONG = "blocks.0.attention.of.a.model.from.elsewhere"
REASON = "no key frequencies are stored with a and b"
ANSWERS = {
    "steps": answer(),
    "identical": answer(identical="bytes", weights=[matrix("W_E", 0.0, 2.0, 2.0)], keys=[]),
    "nothing": answer(
        weights=None,
        all_weights=None,
        embedding=None,
        neurons=None,
        keys=None,
        parts=[part(None, None, 0.0, 0.0)],
        absent={"keys": REASON, "weights": "the parameters of a are no numbers"},
    ),
    "two splits": answer(parts=[part("train", "test", 1.0, 0.2), part(None, "test", 1.0, 0.3)]),
    "two models": answer(weights=[matrix("W_E", None, 2.0, None), matrix("W_in", None, None, 3.0)]),
    "no embedding": answer(keys=[key(2, "kept", None, None), key(3, "lost", 0.5, None)]),
    "many": answer(
        weights=[matrix(f"{LONG}.{n}", n * 1e12, n * 1e12, 1.0) for n in range(40)],
        keys=[key(k, "gained", 0.0, 0.04) for k in range(1, 25)],
        a={"run": "a-run-with-a-long-name-" * 3, "step": 123_456_789, "sha256": "a" * 64},
    ),
}
EVERY = pytest.mark.parametrize("found", ANSWERS.values(), ids=ANSWERS)


@EVERY
def test_vega_lite_has_nothing_to_say_against_it(found: Any) -> None:
    """Neither version 5 nor 6."""
    check(comparison(found, LIGHT))


@EVERY
@pytest.mark.parametrize("theme", THEMES)
def test_nothing_overlaps_or_is_cut_off(faults: Faults, found: Any, theme: str) -> None:
    """In fonts as wide as those of Linux, macOS and Windows."""
    assert faults(drawn(comparison(found, THEMES[theme]), theme)) == []


def marked(plot: Spec, *fields: str) -> dict[str, tuple[Any, ...]]:
    """By the name of a row, its fields, of all the layers of a plot."""
    return {
        row["name"]: tuple(row[field] for field in fields)
        for layer in plot["layer"]
        for row in layer["data"]["values"]
    }


def test_rows_are_the_parts_keys_and_matrices() -> None:
    """With the figures of a and b; the matrices by how far they are apart."""
    parts, keys, weights = comparison(ANSWERS["steps"], LIGHT)["vconcat"]
    assert marked(parts, "a", "b") == {"all pairs": (0.4, 1), "train": (1, 1), "test": (0.1, 1)}
    assert marked(keys, "a", "b", "key") == {
        "2": (0.1, 0.5, "kept"),
        "3": (0.05, 0.4, "gained"),
        "5": (0.3, 0.01, "lost"),
    }
    distances = [(row["name"], row["distance"], row["a"], row["b"]) for row in rows(weights, "bar")]
    assert distances == [("W_U", 5.0, 6.0, 1.0), ("W_E", 3.0, 2.0, 4.0)]


def test_the_notes_tell_what_is_not_drawn() -> None:
    """What changed and why a part lacks."""
    told = subtitle(comparison(ANSWERS["steps"], LIGHT))
    assert "○ a: tiny, step 300 ● b: tiny, step 3,000 2 pairs became right, 1 pair wrong" in told
    assert "linear CKA of the embedding: 0.4, by chance 0.2" in told
    assert "one and the same file" in subtitle(comparison(ANSWERS["identical"], LIGHT))
    nothing = comparison(ANSWERS["nothing"], LIGHT)
    assert len(nothing["vconcat"]) == 1
    assert f"no keys: {REASON}" in subtitle(nothing)
    assert f"{40 - MOST} matrices that moved less left out" in subtitle(
        comparison(ANSWERS["many"], LIGHT)
    )


def test_a_part_of_two_splits_is_named_by_both() -> None:
    """As it is in a's and in b's."""
    (parts, *_) = comparison(ANSWERS["two splits"], LIGHT)["vconcat"]
    assert list(marked(parts, "a")) == ["train of a, test of b", "any of a, test of b"]


def test_a_key_without_a_share_has_no_mark() -> None:
    """One end alone is drawn where the other is not known; none where neither is."""
    _, keys, _ = comparison(ANSWERS["no embedding"], LIGHT)["vconcat"]
    assert [len(layer["data"]["values"]) for layer in layers(keys) if "data" in layer] == [0, 1, 0]
