"""One unit over all pairs: a neuron, an attention weight or a logit, as a heat map."""

import numpy as np
from numpy.typing import NDArray

from grokprobe.colours import Theme
from service.charts.cells import class_legend, grid_of_cells, ramp_legend, shades, side_of
from service.charts.frame import Answer, Spec, cells_image, headline
from service.charts.words import figure

TOKENS = ("a", "b", "=")
UNDEFINED = "not a number"


def activations(answer: Answer, theme: Theme) -> Spec:
    """The grid of `activations`: row a, column b, one image.

    From zero up in sequential colours; where some are below zero, in diverging ones around it.
    """
    values = _values(answer)
    p = len(values)
    known = values[np.isfinite(values)]
    low, high = _bounds(known)
    colours = theme.diverging if low < 0 else theme.sequential
    side = side_of(p)
    title = _title(answer)
    note = f"from {figure(known.min())} to {figure(known.max())}" if known.size else "no number"
    cells = cells_image(*shades(values, colours, low, high, theme.undefined))
    edges = [-0.5, p - 0.5]
    layers = [
        grid_of_cells(
            cells,
            {"domain": edges, "title": "b (residue)"},
            {"domain": edges[::-1], "title": "a (residue)"},
            (side, side),
        ),
        ramp_legend(colours, low, high, _unit(answer)),
    ]
    if known.size < values.size:
        layers.append(class_legend({UNDEFINED: theme.undefined}, None, theme))
    return {
        "description": f"{title}, {note}.",
        "title": headline(title, note, width=side),
        "width": side,
        "height": side,
        "layer": layers,
        "resolve": {"scale": {"fill": "independent"}},
    }


def _values(answer: Answer) -> NDArray[np.float64]:
    """The values (p, p); NaN where there is none that is finite."""
    values = np.array(answer["activations"], dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _bounds(known: NDArray[np.float64]) -> tuple[float, float]:
    """What the ends of the colours stand for; around zero where some are below it."""
    most = float(np.abs(known).max(initial=0.0)) or 1.0
    return (-most if (known < 0).any() else 0.0), most


def _title(answer: Answer) -> str:
    index, token = answer["index"], answer["token"]
    if answer["of"] == "attention":
        target = TOKENS[token] if token < len(TOKENS) else f"token {token}"
        return f"Attention of head {answer['head']} to {target}"
    return f"Logit of {index}" if answer["of"] == "logits" else f"Neuron {index}"


def _unit(answer: Answer) -> str:
    units = {"attention": "attention (share)", "logits": "logit (nats)", "neurons": "activation"}
    return units[answer["of"]]
