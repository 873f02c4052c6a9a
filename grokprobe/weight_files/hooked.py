"""The weights of a transformer as TransformerLens has them: its HookedTransformer's names and axes.

Ours has all heads side by side in the columns of W_Q, W_K, W_V and the rows of W_O; there each head
is a matrix of its own. Biases that a network lacks are absent there too: the library makes them 0.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grokprobe.errors import NamesMissing
from grokprobe.weights import Weights

Array = NDArray[Any]

OF_MODEL = {
    "W_E": "embed.W_E",
    "W_pos": "pos_embed.W_pos",
    "W_U": "unembed.W_U",
    "b_U": "unembed.b_U",
    "ln_final_w": "ln_final.w",
    "ln_final_b": "ln_final.b",
}
OF_BLOCK = {
    **{name: f"attn.{name}" for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")},
    **{name: f"mlp.{name}" for name in ("W_in", "b_in", "W_out", "b_out")},
    **{f"ln{n}_{part}": f"ln{n}.{part}" for n in (1, 2) for part in "wb"},
}
OURS = re.compile(r"(?:blocks\.([0-9]+)\.)?(\w+)", re.ASCII)
NORMS = {"none": None, "pre": "LN"}  # HookedTransformer has none after the residual's addition
EPSILON = 1e-5  # of LayerNorm: torch's default, which is ours


class Hooked(NamedTuple):
    """Weights by HookedTransformer's names, and the fields of HookedTransformerConfig."""

    weights: dict[str, Array]
    config: dict[str, Any]


def hooked(weights: Weights, architecture: Mapping[str, Any]) -> Hooked:
    """The weights of a network and its configuration, as HookedTransformer has them.

    `architecture` is that of the run's manifest. Raises NamesMissing for a network that computes
    what a HookedTransformer does not.
    """
    if why := _what_it_lacks(architecture):
        raise NamesMissing(why)
    try:
        return _hooked(weights, architecture)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise NamesMissing("its weights do not fit what its manifest says of it") from None


def _what_it_lacks(architecture: Mapping[str, Any]) -> str:
    """What of a network HookedTransformer has not; empty where it has all."""
    family, activation = architecture.get("family"), architecture.get("activation", "relu")
    if family != "transformer":
        return f"it is no transformer but of the family {str(family)[:60]!r}"
    if architecture.get("vocabularies", "shared") != "shared":
        return "its operands have an embedding each"
    if architecture.get("attention_rate", 1) != 1:
        return "a part of its attention is constant (attention_rate is not 1)"
    if activation not in ("relu", "gelu"):
        return f"its activation is {str(activation)[:60]!r}"
    if architecture.get("layer_norm", "none") not in NORMS:
        return "its LayerNorm comes after the residual's addition (layer_norm is 'post')"
    return ""


def _hooked(weights: Weights, architecture: Mapping[str, Any]) -> Hooked:
    heads = architecture["heads"]
    found = dict(_renamed(name, array, heads) for name, array in weights.items())
    vocabulary, d_model = found["embed.W_E"].shape
    scale = architecture.get("attention_scale", "1/sqrt(d_head)")
    config = {
        "n_layers": sum(name.endswith(".attn.W_Q") for name in found),
        "n_heads": heads,
        "d_model": d_model,
        "d_head": found["blocks.0.attn.W_Q"].shape[2],
        "d_mlp": found["blocks.0.mlp.W_in"].shape[1],
        "n_ctx": found["pos_embed.W_pos"].shape[0],
        "d_vocab": vocabulary,
        "d_vocab_out": found["unembed.W_U"].shape[1],
        "act_fn": architecture.get("activation", "relu"),
        "normalization_type": NORMS[architecture.get("layer_norm", "none")],
        "eps": EPSILON,
        "attention_dir": "causal" if architecture.get("causal", True) else "bidirectional",
        "attn_only": False,
        "use_attn_scale": True,
    }
    if not isinstance(scale, str):
        config["attn_scale"] = 1 / scale  # scores are divided by it
    return Hooked(found, config)


def _renamed(name: str, array: Array, heads: int) -> tuple[str, Array]:
    """A parameter's name and array there."""
    match = OURS.fullmatch(name)
    layer, base = match.groups() if match else (None, "")
    if layer is None and base in OF_MODEL:
        return OF_MODEL[base], array
    return f"blocks.{int(layer or 0)}.{OF_BLOCK[base]}", ARRANGED.get(base, _as_it_is)(array, heads)


def _as_it_is(array: Array, _heads: int) -> Array:
    return array


def _columns(array: Array, heads: int) -> Array:
    """(d_model, heads * d_head) as (heads, d_model, d_head)."""
    return np.moveaxis(array.reshape(len(array), heads, -1), 1, 0)


def _rows(array: Array, heads: int) -> Array:
    """(heads * d_head, ...) as (heads, d_head, ...)."""
    return array.reshape(heads, -1, *array.shape[1:])


ARRANGED: dict[str, Callable[[Array, int], Array]] = {
    **dict.fromkeys(("W_Q", "W_K", "W_V"), _columns),
    **dict.fromkeys(("W_O", "b_Q", "b_K", "b_V"), _rows),
}
