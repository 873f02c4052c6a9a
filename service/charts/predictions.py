"""What a checkpoint answers to every pair: right or wrong, of the training or of the test part."""

import numpy as np
from numpy.typing import NDArray

from grokprobe.colours import Theme, blend
from service.charts.cells import class_legend, grid_of_cells, side_of
from service.charts.frame import Answer, Spec, cells_image, headline
from service.charts.words import percent, plural

PALE = 0.45  # of the colour is left in a training pair's cell
# What a cell can be, in the legend's order: of the test part, of the training part, of neither.
UNDEFINED = 6
NAMES = (
    *("right, test", "wrong, test", "right, train", "wrong, train", "right", "wrong"),
    "no answer defined",
)


def predictions(answer: Answer, theme: Theme) -> Spec:
    """The grid of `predictions` of all pairs: row a, column b, one image."""
    p = answer["modulus"]
    kinds = _kinds(answer)
    colours = _colours(theme)
    there = np.unique(kinds)
    side = side_of(p)
    axis = {"domain": [-0.5, p - 0.5]}
    title, notes = "Predictions of all pairs", _notes(kinds)
    image = cells_image(kinds, list(colours.values()))
    return {
        "description": f"{title}. {' '.join(notes)}",
        "title": headline(title, *notes, width=side),
        "width": side,
        "height": side,
        "layer": [
            grid_of_cells(
                image,
                {**axis, "title": "b (residue)"},
                {"domain": axis["domain"][::-1], "title": "a (residue)"},
                (side, side),
            ),
            class_legend({NAMES[kind]: colours[NAMES[kind]] for kind in there}, None, theme),
        ],
    }


def _kinds(answer: Answer) -> NDArray[np.uint8]:
    """The place of each pair's kind in NAMES, (p, p)."""
    p = answer["modulus"]
    kinds = np.full((p, p), UNDEFINED, dtype=np.uint8)
    first = {"test": 0, "train": 2, None: 4}
    for row in answer["predictions"]:
        if row["correct"] is not None:
            kinds[row["a"], row["b"]] = first[row["split"]] + (not row["correct"])
    return kinds


def _colours(theme: Theme) -> dict[str, str]:
    strong = [theme.test, theme.wrong]
    pale = [blend((theme.background, colour), PALE) for colour in strong]
    return dict(zip(NAMES, [*strong, *pale, *strong, theme.undefined], strict=True))


def _notes(kinds: NDArray[np.uint8]) -> list[str]:
    count = np.bincount(kinds.ravel(), minlength=len(NAMES)).tolist()
    parts = {"train": count[2:4], "test": count[0:2], "split unknown": count[4:6]}
    told = [
        f"{part}: {percent(right / (right + wrong))} of {plural(right + wrong, 'pair')} right"
        for part, (right, wrong) in parts.items()
        if right + wrong
    ]
    return told or ["no pair has an answer"]
