"""Textbook forms, used as slow twins: all positions, all heads, ordinary attention, autograd.

The formulas are those of Nanda et al. 2023 (appendix A) as any textbook writes them; nothing is
shared with trainer/models or trainer/loss.
"""

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional


def attend(W: Mapping[str, Tensor], x: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Causal attention of x (n, 3, d_model): pattern (n, heads, 3, 3), output (n, 3, d_model)."""
    n, tokens, _ = x.shape
    q, k, v = (
        (x @ W[name]).view(n, tokens, heads, -1).transpose(1, 2) for name in ("W_Q", "W_K", "W_V")
    )
    scores = q @ k.transpose(-1, -2) / sqrt(q.shape[-1])
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    pattern = scores.masked_fill(future, float("-inf")).softmax(-1)
    z = (pattern @ v).transpose(1, 2).reshape(n, tokens, -1)
    return pattern, z @ W["W_O"]


def transformer(W: Mapping[str, Tensor], pairs: Tensor, heads: int) -> dict[str, Tensor]:
    """The one-layer transformer on tokens [a, b, =], read at the last position."""
    equals = torch.full((len(pairs), 1), len(W["W_E"]) - 1)
    tokens = torch.cat([pairs, equals], dim=1)
    residual = W["W_E"][tokens] + W["W_pos"]
    pattern, attended = attend(W, residual, heads)
    residual = residual + attended
    neurons = torch.relu(residual @ W["W_in"] + W["b_in"])
    residual = residual + neurons @ W["W_out"] + W["b_out"]
    logits = residual @ W["W_U"]
    return {
        "logits": logits[:, -1],
        "neurons": neurons[:, -1],
        "attention": pattern[:, :, -1],
        "embedding": W["W_E"][:-1],
        "unembedding": W["W_U"].T,
        "neuron_logit_map": (W["W_out"] @ W["W_U"]).T,
    }


def cross_entropy(logits: Tensor, answers: Tensor) -> Tensor:
    """Mean cross-entropy in nats from the float64 log-softmax."""
    log_probabilities = functional.log_softmax(logits.double(), dim=1)
    return -log_probabilities[torch.arange(len(answers)), answers].mean()
