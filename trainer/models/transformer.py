"""One-layer transformers without LayerNorm, untied, computed where the loss reads them.

Learned positions, tokens [a, b, =] or [a, b]; only the last position is read, and causal masking
changes nothing there. The vectors of a and = are rows of W_E; those of b too, or of W_E_b where the
operands have a vocabulary each. With token vectors x (embedding + position), x_l the last of them,
per head, and q, k, v their W_Q, W_K, W_V images (biases, where there are any, added to each
product):

    attention = r softmax over the tokens of (q_l . k scale) + (1 - r)
    z         = sum over the tokens of attention v      (heads side by side)
    residual  = x_l + z W_O
    neurons   = activation(residual W_in + b_in)
    logits    = (residual + neurons W_out + b_out) W_U

The defaults (three tokens, r = 1, scale 1/sqrt(d_head), ReLU) are Nanda et al. 2023; two tokens and
r in 0..1 are Zhong et al. 2023, section 2.

Two exact shortcuts (docs/maths.md, "The exact shortcut"). Keys and values depend on 2p or 2p + 1
distinct vectors: computed once for each, gathered for each pair; so are the scores, which depend on
the key alone where the query is that of "=", and on (a, b) where it is that of b. And x_l is one of
at most p vectors, so W_O W_in, W_O W_U and W_out W_U are multiplied first and the residual is
never formed.
The textbook form is the slow twin in tests/support/reference.py.
"""

import torch
from torch import Tensor

from trainer.config.schema import TransformerSection
from trainer.models import initial
from trainer.models.layer import TransformerLayer, own_vocabulary, tables_of
from trainer.models.network import (
    ACTIVATIONS,
    Activations,
    Network,
    narrowed,
    padded,
    plus,
    take_rows,
)


class Transformer(TransformerLayer, Network):
    """A transformer of one layer: parameters and forward pass."""

    def __init__(self, section: TransformerSection, modulus: int, seed: int) -> None:
        super().__init__()
        d_model, attended = section.d_model, section.heads * section.d_head
        self.modulus = modulus
        self.equals = section.tokens == "a b ="
        # Read at b, the operand's own residual tells the two apart.
        self.adds_embeddings = self.equals and section.attention_rate == 0
        weights = initial.of_transformer(section, modulus, seed)

        vocabulary = modulus + self.equals  # the last row is the equals sign's
        self.W_E = weights.matrix("W_E", vocabulary, d_model)
        self.W_E_b = own_vocabulary(section, modulus, weights)
        self.W_pos = weights.matrix("W_pos", 2 + self.equals, d_model)
        self._draw_layer(section, weights)
        self.W_U = weights.matrix("W_U", d_model, modulus)
        self.b_Q, self.b_K, self.b_V = (weights.bias(attended, d_model, "all") for _ in range(3))
        self.b_O, self.b_U = (
            weights.bias(d_model, attended, "all"),
            weights.bias(modulus, d_model, "all"),
        )

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """The embeddings (p, d_model) of a and b, before positions are added."""
        return tables_of(self.W_E, self.W_E_b, self.modulus)

    def activations(self, first: Tensor, second: Tensor, pairs: Tensor) -> Activations:
        """All activations of pairs (n, 2), their embeddings given (Network.activations)."""
        vectors = [first + self.W_pos[0], second + self.W_pos[1]]
        if self.equals:
            vectors.append(self.W_E[self.modulus :] + self.W_pos[2])  # (1, d_model)
        attention, z = self._attend(vectors, pairs)
        unembedding, bias = padded(self.W_U), None if self.b_U is None else padded(self.b_U)
        neuron_logit_map = self.W_out @ unembedding  # (d_mlp, p)

        def of_last(table: Tensor) -> Tensor:  # what x_l alone decides: one row, or one for each b
            return table if self.equals else take_rows(table, pairs[:, 1])

        last = plus(vectors[-1], self.b_O)
        into_mlp = of_last(plus(last @ self.W_in, self.b_in))
        activation = ACTIVATIONS[self.section.activation]
        neurons = activation(torch.addmm(into_mlp, z, self.W_O @ self.W_in))
        direct = of_last(plus(plus(last, self.b_out) @ unembedding, bias))
        logits = torch.addmm(
            torch.addmm(direct, z, self.W_O @ unembedding), neurons, neuron_logit_map
        )
        embedding, embedding_b = self.embeddings()
        return Activations(
            narrowed(logits, self.modulus),
            neurons,
            attention,
            embedding=embedding,
            embedding_b=None if self.W_E_b is None else embedding_b,
            unembedding=self.W_U.T,
            neuron_logit_map=narrowed(neuron_logit_map, self.modulus).T,
        )

    def _attend(self, vectors: list[Tensor], pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Attention (n, heads, tokens) and its mix of values z (n, heads * d_head)."""
        table = torch.cat(vectors)
        query = self._heads(vectors[-1], self.W_Q, self.b_Q) / self._divisor  # (1 or p, ...)
        keys = self._heads(table, self.W_K, self.b_K)  # (2p or 2p+1, heads, d_head)
        values = self._heads(table, self.W_V, self.b_V)

        a, b = pairs[:, 0], pairs[:, 1]
        score = self._scores_of_equals if self.equals else self._scores_of_b
        weights = self._attention(score(query, keys, a, b))
        z = weights[..., 0:1] * take_rows(values, a)
        z = z + weights[..., 1:2] * take_rows(values, b + len(vectors[0]))
        if self.equals:
            z = z + weights[..., 2:3] * values[-1]
        return weights, z.flatten(1)

    @staticmethod
    def _scores_of_equals(query: Tensor, keys: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        """The scores (n, heads) of a, b and =, all from one table of 2p + 1 rows."""
        table = (keys * query).sum(2)
        equals = table[-1:].expand(a.shape[0], -1)  # len(a) would fix the exported batch
        return take_rows(table, a), take_rows(table, b + len(keys) // 2), equals

    @staticmethod
    def _scores_of_b(query: Tensor, keys: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        """The scores (n, heads) of a, from a table with a row for each (b, a), and of b."""
        of_a, of_b = keys[: -len(query)], keys[-len(query) :]
        table = torch.einsum("bhd,ahd->bah", query, of_a).flatten(0, 1)
        own = (of_b * query).sum(2)
        return take_rows(table, b * len(of_a) + a), take_rows(own, b)
