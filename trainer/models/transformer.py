"""One-layer transformers without LayerNorm, untied, computed where the loss reads them.

Learned positions, tokens [a, b, =] or [a, b]; only the last position is read, and causal masking
changes nothing there. With token vectors x (embedding + position), x_l the last of them, per head,
and q, k, v their W_Q, W_K, W_V images (biases, where there are any, added to each product):

    attention = r softmax over the tokens of (q_l . k scale) + (1 - r)
    z         = sum over the tokens of attention v      (heads side by side)
    residual  = x_l + z W_O
    neurons   = activation(residual W_in + b_in)
    logits    = (residual + neurons W_out + b_out) W_U

The defaults (three tokens, r = 1, scale 1/sqrt(d_head), ReLU) are Nanda et al. 2023; two tokens and
r in 0..1 are Zhong et al. 2023, section 2.

Two exact shortcuts (MATHS, "The exact shortcut"). Keys and values depend on 2p or 2p + 1 distinct
vectors: computed once for each, gathered for each pair; so are the scores, which depend on the key
alone where the query is that of "=", and on (a, b) where it is that of b. And x_l is one of at most
p vectors, so W_O W_in, W_O W_U and W_out W_U are multiplied first and the residual is never formed.
The textbook form is the slow twin in tests/reference.py.
"""

from math import sqrt
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import ModelSection

ACTIVATIONS = {"relu": torch.relu, "gelu": functional.gelu, "quadratic": torch.square}


class Activations(NamedTuple):
    """What the ONNX contract promises, by its names; n pairs."""

    logits: Tensor  # (n, p): no equals column, nothing ever predicts "="
    neurons: Tensor  # (n, d_mlp), after the activation
    attention: Tensor  # (n, heads, tokens): the last position's
    embedding: Tensor  # (p, d_model): residue rows only
    unembedding: Tensor  # (p, d_model)
    neuron_logit_map: Tensor  # (p, d_mlp)


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias


class Transformer(nn.Module):
    """Parameters and forward pass; initial weights are drawn on the CPU whatever trains."""

    def __init__(self, section: ModelSection, modulus: int, seed: int) -> None:
        """N(0, 1/d_model) for every matrix but W_U, which is N(0, 1/p); biases 0."""
        super().__init__()
        d_model, d_mlp = section.d_model, section.d_mlp
        self.modulus, self.section = modulus, section
        self.heads, self.d_head = section.heads, section.d_head
        self.equals = section.tokens == "a b ="
        attended = self.heads * self.d_head
        generator = torch.Generator().manual_seed(seed)

        def drawn(rows: int, columns: int, fan: int = d_model) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns, generator=generator) / sqrt(fan))

        def zeros(size: int, *where: str) -> nn.Parameter | None:
            return nn.Parameter(torch.zeros(size)) if section.biases in where else None

        self.W_E = drawn(modulus + self.equals, d_model)  # the last row is the equals sign's
        self.W_pos = drawn(2 + self.equals, d_model)
        self.W_Q = drawn(d_model, attended)  # columns: heads side by side
        self.W_K = drawn(d_model, attended)
        self.W_V = drawn(d_model, attended)
        self.W_O = drawn(attended, d_model)
        self.W_in = drawn(d_model, d_mlp)
        self.b_in = zeros(d_mlp, "mlp", "all")
        self.W_out = drawn(d_mlp, d_model)
        self.b_out = zeros(d_model, "mlp", "all")
        self.W_U = drawn(d_model, modulus, fan=modulus)
        self.b_Q, self.b_K, self.b_V = (zeros(attended, "all") for _ in range(3))
        self.b_O, self.b_U = zeros(d_model, "all"), zeros(modulus, "all")

    def forward(self, pairs: Tensor) -> Activations:
        """All activations of `pairs`, int64 (n, 2) with values 0..p-1."""
        embedding = self.W_E[: self.modulus]
        return self.activations(embedding, embedding, pairs)

    def activations(self, first: Tensor, second: Tensor, pairs: Tensor) -> Activations:
        """All activations where row i of `first` embeds the operand a = i, of `second` b = i.

        Both are the embedding (p, d_model) in `forward`; measures of the gradients pass one row a
        pair, before positions are added, to have a leaf of its own for each.
        """
        vectors = [first + self.W_pos[0], second + self.W_pos[1]]
        if self.equals:
            vectors.append(self.W_E[self.modulus :] + self.W_pos[2])  # (1, d_model)
        attention, z = self._attend(vectors, pairs)
        neuron_logit_map = self.W_out @ self.W_U  # (d_mlp, p)

        def of_last(table: Tensor) -> Tensor:  # what x_l alone decides: one row, or one for each b
            return table if self.equals else table.index_select(0, pairs[:, 1])

        last = _plus(vectors[-1], self.b_O)
        into_mlp = of_last(_plus(last @ self.W_in, self.b_in))
        activation = ACTIVATIONS[self.section.activation]
        neurons = activation(torch.addmm(into_mlp, z, self.W_O @ self.W_in))
        direct = of_last(_plus(_plus(last, self.b_out) @ self.W_U, self.b_U))
        logits = torch.addmm(torch.addmm(direct, z, self.W_O @ self.W_U), neurons, neuron_logit_map)
        embedding = self.W_E[: self.modulus]
        return Activations(logits, neurons, attention, embedding, self.W_U.T, neuron_logit_map.T)

    def _attend(self, vectors: list[Tensor], pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Attention (n, heads, tokens) and its mix of values z (n, heads * d_head)."""
        scale = self.section.attention_scale
        divisor = sqrt(self.d_head) if isinstance(scale, str) else 1 / scale
        table = torch.cat(vectors)
        query = self._heads(vectors[-1], self.W_Q, self.b_Q) / divisor  # (1 or p, heads, d_head)
        keys = self._heads(table, self.W_K, self.b_K)  # (2p or 2p+1, heads, d_head)
        values = self._heads(table, self.W_V, self.b_V)

        a, b = pairs[:, 0], pairs[:, 1]
        score = self._scores_of_equals if self.equals else self._scores_of_b
        rate = self.section.attention_rate
        weights = torch.stack(score(query, keys, a, b), dim=-1).softmax(dim=-1)
        if rate != 1:
            weights = rate * weights + (1 - rate)
        z = weights[..., 0:1] * values.index_select(0, a)
        z = z + weights[..., 1:2] * values.index_select(0, b + len(vectors[0]))
        if self.equals:
            z = z + weights[..., 2:3] * values[-1]
        return weights, z.flatten(1)

    def _heads(self, vectors: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        """The images of vectors (rows, d_model) under W, head by head: (rows, heads, d_head)."""
        return _plus(vectors @ W, bias).view(-1, self.heads, self.d_head)

    @staticmethod
    def _scores_of_equals(query: Tensor, keys: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        """The scores (n, heads) of a, b and =, all from one table of 2p + 1 rows."""
        table = (keys * query).sum(2)
        equals = table[-1:].expand(a.shape[0], -1)  # len(a) would fix the exported batch
        return table.index_select(0, a), table.index_select(0, b + len(keys) // 2), equals

    @staticmethod
    def _scores_of_b(query: Tensor, keys: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        """The scores (n, heads) of a, from a table with a row for each (b, a), and of b."""
        of_a, of_b = keys[: -len(query)], keys[-len(query) :]
        table = torch.einsum("bhd,ahd->bah", query, of_a).flatten(0, 1)
        own = (of_b * query).sum(2)
        return table.index_select(0, b * len(of_a) + a), own.index_select(0, b)
