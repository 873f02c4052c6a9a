"""What the two forms of a transformer, transformer.py and layered.py, have in common."""

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from trainer.config.schema import TransformerSection
from trainer.models.initial import InitialWeights
from trainer.models.network import plus


def own_vocabulary(
    section: TransformerSection, modulus: int, weights: InitialWeights
) -> nn.Parameter | None:
    """W_E_b (p, d_model), operand b's table; None where one vocabulary serves both operands."""
    separate = section.vocabularies == "separate"
    return weights.matrix("W_E_b", modulus, section.d_model) if separate else None


def tables_of(W_E: Tensor, W_E_b: Tensor | None, modulus: int) -> tuple[Tensor, Tensor]:
    """The embeddings (p, d_model) of a and b: residue rows, slices and so no parameters."""
    return W_E[:modulus], (W_E if W_E_b is None else W_E_b)[:modulus]


class TransformerLayer(nn.Module):
    """The matrices of attention and MLP, and attention from scores."""

    section: TransformerSection

    def _draw_layer(self, section: TransformerSection, weights: InitialWeights) -> None:
        """Set the matrices and the MLP's biases, drawn in this order."""
        self.section = section
        d_model, d_mlp, attended = section.d_model, section.d_mlp, section.heads * section.d_head
        self.W_Q = weights.matrix("W_Q", d_model, attended)  # columns: heads side by side
        self.W_K = weights.matrix("W_K", d_model, attended)
        self.W_V = weights.matrix("W_V", d_model, attended)
        self.W_O = weights.matrix("W_O", attended, d_model)
        self.W_in = weights.matrix("W_in", d_model, d_mlp)
        self.b_in = weights.bias(d_mlp, d_model, "mlp", "all")
        self.W_out = weights.matrix("W_out", d_mlp, d_model)
        self.b_out = weights.bias(d_model, d_mlp, "mlp", "all")

    def _heads(self, x: Tensor, W: Tensor, bias: Tensor | None) -> Tensor:
        """The images of x (m, d_model) under W, head by head: (m, heads, d_head)."""
        return plus(x @ W, bias).view(-1, self.section.heads, self.section.d_head)

    @property
    def _divisor(self) -> float:
        """What queries are divided by before they meet keys."""
        scale = self.section.attention_scale
        return sqrt(self.section.d_head) if isinstance(scale, str) else 1 / scale

    def _attention(self, scores: Sequence[Tensor]) -> Tensor:
        """Attention (m, heads, tokens) by the scores (m, heads) of each token."""
        rate = self.section.attention_rate
        weights = torch.stack(tuple(scores), dim=-1).softmax(dim=-1)
        return weights if rate == 1 else rate * weights + (1 - rate)
