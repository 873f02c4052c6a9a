"""The one-layer transformer of Nanda et al. 2023, computed where the loss reads it.

No LayerNorm, untied, learned positions, tokens [a, b, =]; only the last position is read, and
causal masking changes nothing there. With token vectors x_a, x_b, x_= (embedding + position),
per head h, and q, k, v its W_Q, W_K, W_V images:

    attention = softmax over (a, b, =) of q_= . k / sqrt(d_head)
    z         = attention_a v_a + attention_b v_b + attention_= v_=     (heads side by side)
    residual  = x_= + z W_O
    neurons   = relu(residual W_in + b_in)
    logits    = (residual + neurons W_out + b_out) W_U

Two exact shortcuts (MATHS, "The exact shortcut"). Scores and values depend on 2p + 1 distinct
vectors: computed once for each, gathered for each pair. And x_= is the same for every pair, so
W_O W_in, W_O W_U and W_out W_U are multiplied first and the residual is never formed. The
textbook form is the slow twin in tests/reference.py.
"""

from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.config import ModelSection


class Activations(NamedTuple):
    """What the ONNX contract promises, by its names; n pairs."""

    logits: Tensor  # (n, p): no equals column, nothing ever predicts "="
    neurons: Tensor  # (n, d_mlp), after the ReLU
    attention: Tensor  # (n, heads, 3): the last position's, over a, b, =
    embedding: Tensor  # (p, d_model): residue rows only
    unembedding: Tensor  # (p, d_model)
    neuron_logit_map: Tensor  # (p, d_mlp)


class Transformer(nn.Module):
    """Parameters and forward pass; initial weights are drawn on the CPU whatever trains."""

    def __init__(self, section: ModelSection, modulus: int, seed: int) -> None:
        """N(0, 1/d_model) for every matrix but W_U, which is N(0, 1/p); biases 0."""
        super().__init__()
        d_model, d_mlp = section.d_model, section.d_mlp
        self.modulus, self.heads, self.d_head = modulus, section.heads, section.d_head
        attended = self.heads * self.d_head
        generator = torch.Generator().manual_seed(seed)

        def drawn(rows: int, columns: int, fan: int = d_model) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns, generator=generator) / sqrt(fan))

        self.W_E = drawn(modulus + 1, d_model)  # the last row is the equals sign's
        self.W_pos = drawn(3, d_model)
        self.W_Q = drawn(d_model, attended)  # columns: heads side by side
        self.W_K = drawn(d_model, attended)
        self.W_V = drawn(d_model, attended)
        self.W_O = drawn(attended, d_model)
        self.W_in = drawn(d_model, d_mlp)
        self.b_in = nn.Parameter(torch.zeros(d_mlp))
        self.W_out = drawn(d_mlp, d_model)
        self.b_out = nn.Parameter(torch.zeros(d_model))
        self.W_U = drawn(d_model, modulus, fan=modulus)

    def forward(self, pairs: Tensor) -> Activations:
        """All activations of `pairs`, int64 (n, 2) with values 0..p-1."""
        embedding = self.W_E[: self.modulus]
        return self.activations(embedding, embedding, pairs)

    def activations(self, first: Tensor, second: Tensor, pairs: Tensor) -> Activations:
        """All activations where row i of `first` embeds the operand a = i, of `second` b = i.

        Both are the embedding (p, d_model) in `forward`; measures of the gradients pass one row a
        pair, before positions are added, to have a leaf of its own for each.
        """
        equals = self.W_E[self.modulus :] + self.W_pos[2]  # (1, d_model)
        attention, z = self._attend(first, second, equals, pairs)
        embedding = self.W_E[: self.modulus]
        neuron_logit_map = self.W_out @ self.W_U  # (d_mlp, p)

        into_mlp = equals @ self.W_in + self.b_in
        neurons = torch.addmm(into_mlp, z, self.W_O @ self.W_in).relu()
        direct = torch.addmm((equals + self.b_out) @ self.W_U, z, self.W_O @ self.W_U)
        logits = torch.addmm(direct, neurons, neuron_logit_map)
        return Activations(logits, neurons, attention, embedding, self.W_U.T, neuron_logit_map.T)

    def _attend(
        self, first: Tensor, second: Tensor, equals: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attention (n, heads, 3) and its mix of values z (n, heads * d_head)."""
        vectors = torch.cat([first + self.W_pos[0], second + self.W_pos[1], equals])
        query = (equals @ self.W_Q).view(self.heads, self.d_head) / sqrt(self.d_head)
        keys = (vectors @ self.W_K).view(-1, *query.shape)
        values = (vectors @ self.W_V).view(-1, *query.shape)  # (2p+1, heads, d_head)
        scores = (keys * query).sum(2)  # (2p+1, heads)

        a, b = pairs[:, 0], pairs[:, 1] + len(first)  # rows of the tables
        weights = torch.stack(
            (
                scores.index_select(0, a),
                scores.index_select(0, b),
                scores[-1:].expand(a.shape[0], -1),  # len(a) would fix the exported batch
            ),
            dim=-1,
        ).softmax(dim=-1)
        z = (
            weights[..., 0:1] * values.index_select(0, a)
            + weights[..., 1:2] * values.index_select(0, b)
            + weights[..., 2:3] * values[-1]
        )
        return weights, z.flatten(1)
