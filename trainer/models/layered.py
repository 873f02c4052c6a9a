"""Transformers of several layers, or with LayerNorm (Power et al. 2022; Vaswani et al. 2017).

Learned positions, tokens [a, b, =] or [a, b] of one vocabulary or two (transformer.py), untied.
With x_t the residual at position t, q, k, v the W_Q, W_K, W_V images head by head, biases where
there are any, LN_1, LN_2 and LN_final the identity where they are not there, in each layer, for s
up to t (all s, unless causal):

    attention_ts = r softmax over s of (q_t . k_s scale) + (1 - r)
    z_t          = sum over s of attention_ts v_s       (heads side by side)
    none, pre:   x <- x + z W_O,  q, k, v of LN_1(x);  neurons = activation(LN_2(x) W_in + b_in)
                 x <- x + neurons W_out + b_out
    post:        x <- LN_1(x + z W_O);                 neurons = activation(x W_in + b_in)
                 x <- LN_2(x + neurons W_out + b_out)
    logits       = LN_final(x_last) W_U + b_U           (LN_final with "pre" alone)

    LN(x) = (x - mean x) / sqrt(variance x + 1e-5) * w + b     (over d_model, variance biased)

Power et al. normalise after ("post"), are causal, and have neither biases nor LN_final. Their
sequences also spell out the operation, the same token everywhere, and their positions are fixed
sinusoids; ours are learned.

The exact shortcut: the residual at a position is kept once for each distinct value, not for each
pair. At first those are p, p and 1 vectors; a causal network's first position depends on a alone
in every layer. Of the last layer only the last position is computed.

Neurons and attention are those of the LAST layer. The neuron-logit map is that layer's
W_out W_U; there is none with LayerNorm, which stands between the two.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config.schema import TransformerSection
from trainer.models import initial
from trainer.models.layer import TransformerLayer, own_vocabulary, tables_of
from trainer.models.network import ACTIVATIONS, Activations, Network, plus, take_rows


class Stream(NamedTuple):
    """The residual at one position: its distinct values, and which of them each pair has."""

    rows: Tensor  # (m, d_model)
    of: Tensor | None  # int64 (n,); None: m = n, each pair has its own


class AttentionInput(NamedTuple):
    """What is published of a layer inside, a row for each pair."""

    neurons: Tensor  # (n, d_mlp)
    attention: Tensor  # (n, heads, sources)


def spread(rows: Tensor, of: Tensor | None) -> Tensor:
    """The row of each pair, (n, ...), of the distinct rows (m, ...)."""
    if of is None:
        return rows
    if rows.shape[0] == 1:  # a fixed number where `of` is given: the equals sign's
        return rows.expand(of.shape[0], *rows.shape[1:])
    return take_rows(rows, of)


class TransformerBlock(TransformerLayer):
    """One layer: attention and MLP, each added to the residual."""

    def __init__(self, section: TransformerSection, weights: initial.InitialWeights) -> None:
        super().__init__()
        d_model, attended = section.d_model, section.heads * section.d_head
        self._draw_layer(section, weights)
        self.b_Q, self.b_K, self.b_V = (weights.bias(attended, d_model, "all") for _ in range(3))
        self.b_O = weights.bias(d_model, attended, "all")
        normed = section.layer_norm != "none"
        self.ln1_w, self.ln1_b = _layer_norm(d_model, normed)
        self.ln2_w, self.ln2_b = _layer_norm(d_model, normed)

    def forward(
        self, streams: list[Stream], wanted: list[int]
    ) -> tuple[list[Stream], AttentionInput]:
        """The residual after the layer at the wanted positions; what is seen at the last of them.

        `streams` are all positions before the layer.
        """
        pre, post = (self.section.layer_norm == where for where in ("pre", "post"))
        inputs = [Stream(self._ln1(x), of) if pre else Stream(x, of) for x, of in streams]
        keys = [Stream(self._heads(x, self.W_K, self.b_K), of) for x, of in inputs]
        values = [Stream(self._heads(x, self.W_V, self.b_V), of) for x, of in inputs]
        after = []
        for t in wanted:
            query = Stream(self._heads(inputs[t].rows, self.W_Q, self.b_Q), inputs[t].of)
            sources = slice(t + 1 if self.section.causal else None)
            attention, z, of = self._attend(query, keys[sources], values[sources])
            own = streams[t].rows if of is streams[t].of else spread(*streams[t])
            x = own + plus(z @ self.W_O, self.b_O)
            x = self._ln1(x) if post else x
            into_mlp = plus((self._ln2(x) if pre else x) @ self.W_in, self.b_in)
            neurons = ACTIVATIONS[self.section.activation](into_mlp)
            x = x + plus(neurons @ self.W_out, self.b_out)
            after.append(Stream(self._ln2(x) if post else x, of))
        return after, AttentionInput(neurons, attention)

    def _attend(
        self, query: Stream, keys: list[Stream], values: list[Stream]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attention (m, heads, sources), its mix of values (m, heads * d_head), each pair's row."""
        together = all(key.of is query.of for key in keys)  # rows that answer each other
        of = query.of if together else None

        def rows(stream: Stream) -> Tensor:
            return stream.rows if together else spread(*stream)

        q = rows(query) / self._divisor
        weights = self._attention([(q * rows(key)).sum(2) for key in keys])
        parts = [weights[..., s : s + 1] * rows(value) for s, value in enumerate(values)]
        return weights, sum(parts[1:], start=parts[0]).flatten(1), of

    def _ln1(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.ln1_w, self.ln1_b)

    def _ln2(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.ln2_w, self.ln2_b)


def _layer_norm(size: int, there: bool) -> tuple[nn.Parameter | None, nn.Parameter | None]:
    """Weight and bias of a LayerNorm that does not scale yet."""
    if not there:
        return None, None
    return nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))


class LayeredTransformer(Network):
    """A transformer of several layers; `blocks.i.W_Q` and so on are those of layer i, from 0."""

    def __init__(self, section: TransformerSection, modulus: int, seed: int) -> None:
        super().__init__()
        self.modulus, self.section = modulus, section
        self.equals = section.tokens == "a b ="
        # One layer that reads at the equals sign, with the same weight for all, of x itself.
        alone = section.layers == 1 and section.layer_norm != "pre"
        self.adds_embeddings = alone and self.equals and section.attention_rate == 0
        weights = initial.of_transformer(section, modulus, seed)
        d_model = section.d_model
        self.W_E = weights.matrix("W_E", modulus + self.equals, d_model)
        self.W_E_b = own_vocabulary(section, modulus, weights)
        self.W_pos = weights.matrix("W_pos", 2 + self.equals, d_model)
        self.blocks = nn.ModuleList(
            TransformerBlock(section, weights) for _ in range(section.layers)
        )
        final = section.layer_norm == "pre"
        self.ln_final_w, self.ln_final_b = _layer_norm(d_model, final)
        self.W_U = weights.matrix("W_U", d_model, modulus)
        self.b_U = weights.bias(modulus, d_model, "all")

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """The embeddings (p, d_model) of a and b, before positions are added."""
        return tables_of(self.W_E, self.W_E_b, self.modulus)

    def activations(self, first: Tensor, second: Tensor, pairs: Tensor) -> Activations:
        """All activations of pairs (n, 2), their embeddings given (Network.activations)."""
        a, b = pairs[:, 0], pairs[:, 1]
        streams = [Stream(first + self.W_pos[0], a), Stream(second + self.W_pos[1], b)]
        if self.equals:
            streams.append(Stream(self.W_E[self.modulus :] + self.W_pos[2], torch.zeros_like(b)))
        *earlier, last = self.blocks
        assert isinstance(last, TransformerBlock)
        positions = list(range(len(streams)))
        for block in earlier:
            streams, _ = block(streams, positions)
        streams, seen = last(streams, positions[-1:])
        x = streams[-1].rows  # each pair's own: the last position saw all others
        exact = self.section.layer_norm == "none"
        neuron_logit_map = (last.W_out @ self.W_U).T if exact else None
        if self.ln_final_w is not None:
            x = functional.layer_norm(x, x.shape[-1:], self.ln_final_w, self.ln_final_b)
        logits = plus(x @ self.W_U, self.b_U)
        embedding, embedding_b = self.embeddings()
        return Activations(
            logits,
            seen.neurons,
            seen.attention,
            embedding=embedding,
            embedding_b=None if self.W_E_b is None else embedding_b,
            unembedding=self.W_U.T,
            neuron_logit_map=neuron_logit_map,
        )
