"""Numbers and names as the texts of a picture have them.

The renderer may have no fonts but its own, which lack some superscripts: 1.35e−7 stands for
1.35 · 10⁻⁷.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from service.charts.frame import Answer

DIGIT = 0.64  # the advance of a digit in DejaVu Sans, in parts of the font's size
MATRICES = {
    "embedding": "embedding",
    "embedding_b": "embedding of b",
    "effective_embedding": "effective embedding",
    "effective_embedding_b": "effective embedding of b",
    "unembedding": "unembedding",
    "neuron_logit_map": "neuron-logit map",
    "logits": "logits",
}


def finite(value: float | None) -> float | None:
    """The number, or None where it is none or not finite: no axis has a place for it."""
    return None if value is None or not math.isfinite(value) else float(value)


def figure(value: float | None) -> str:
    """Three digits of a number; `none` where there is none."""
    known = finite(value)
    if known is None:
        return "none"
    digits, _, power = f"{known:.3g}".partition("e")
    return (f"{digits}e{int(power):+d}" if power else digits).replace("-", "−")


def percent(share: float | None) -> str:
    """A share in percent."""
    known = finite(share)
    return "none" if known is None else f"{100 * known:.1f}\u00a0%"


def plural(number: int, noun: str) -> str:
    """`1 pair`, `1,044 pairs`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def matrix_of(answer: Answer) -> str:
    """The name of the matrix that an answer is of."""
    name = str(answer["of"])
    return MATRICES.get(name, name)


def apart(x: ArrayLike, y: ArrayLike, width: ArrayLike, height: float) -> NDArray[np.bool_]:
    """Which labels fit, the first before the others: centres and sizes in pixels, (n,)."""
    at, wide = np.stack([np.asarray(x, float), np.asarray(y, float)]), np.asarray(width, float)
    fits = np.zeros(at.shape[1], dtype=np.bool_)
    for label in range(at.shape[1]):
        away = np.abs(at[:, fits] - at[:, label, None])
        meet = (away[0] < (wide[fits] + wide[label]) / 2 + 2) & (away[1] < height)
        fits[label] = not meet.any()
    return fits


def label_width(texts: Sequence[str], size: float) -> NDArray[np.float64]:
    """The width of numbers as labels, in pixels."""
    return np.array([DIGIT * size * len(text) for text in texts])
