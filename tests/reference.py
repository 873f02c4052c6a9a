"""Textbook forms, used as slow twins: all positions, all heads, ordinary attention, autograd.

The formulas are those of Nanda et al. 2023 (appendix A) and Zhong et al. 2023 (section 2) as any
textbook writes them; nothing is shared with trainer/models or trainer/loss.
"""

from collections.abc import Callable, Mapping
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional


def attend(
    W: Mapping[str, Tensor], x: Tensor, heads: int, rate: float, scale: float | None
) -> tuple[Tensor, Tensor]:
    """Causal attention of x (n, tokens, d_model): its pattern (n, heads, tokens, tokens), output.

    rate * softmax + (1 - rate), Zhong et al. 2023; theirs is not causal, which the last row of the
    pattern does not see. `scale` is 1/sqrt(d_head) unless given.
    """
    n, tokens, _ = x.shape
    q, k, v = (
        (x @ W[f"W_{m}"] + W.get(f"b_{m}", 0.0)).view(n, tokens, heads, -1).transpose(1, 2)
        for m in "QKV"
    )
    scores = q @ k.transpose(-1, -2) * (scale or 1 / sqrt(q.shape[-1]))
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    pattern = rate * scores.masked_fill(future, float("-inf")).softmax(-1) + (1 - rate)
    z = (pattern @ v).transpose(1, 2).reshape(n, tokens, -1)
    return pattern, z @ W["W_O"] + W.get("b_O", 0.0)


def transformer(
    W: Mapping[str, Tensor],
    pairs: Tensor,
    heads: int,
    *,
    rate: float = 1.0,
    scale: float | None = None,
    activation: Callable[[Tensor], Tensor] = torch.relu,
) -> dict[str, Tensor]:
    """The one-layer transformer on tokens [a, b] or, with a third position, [a, b, =]."""
    equals = torch.full((len(pairs), len(W["W_pos"]) - 2), len(W["W_E"]) - 1)
    residual = W["W_E"][torch.cat([pairs, equals], dim=1)] + W["W_pos"]
    pattern, attended = attend(W, residual, heads, rate, scale)
    residual = residual + attended
    neurons = activation(residual @ W["W_in"] + W.get("b_in", 0.0))
    residual = residual + neurons @ W["W_out"] + W.get("b_out", 0.0)
    logits = residual @ W["W_U"] + W.get("b_U", 0.0)
    return {
        "logits": logits[:, -1],
        "neurons": neurons[:, -1],
        "attention": pattern[:, :, -1],
        "embedding": W["W_E"][: W["W_U"].shape[1]],
        "unembedding": W["W_U"].T,
        "neuron_logit_map": (W["W_out"] @ W["W_U"]).T,
    }


def cross_entropy(logits: Tensor, answers: Tensor) -> Tensor:
    """Mean cross-entropy in nats from the float64 log-softmax."""
    log_probabilities = functional.log_softmax(logits.double(), dim=1)
    return -log_probabilities[torch.arange(len(answers)), answers].mean()
