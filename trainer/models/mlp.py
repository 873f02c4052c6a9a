"""Networks of one hidden layer on two residues (Gromov 2023, section 2, and its relatives).

With u_a and u_b the inputs that stand for the operands, one-hot or embedded, "|" joining them end
to end (or "+", which adds them), and biases where there are any:

    neurons = activation((u_a | u_b) W_in + b_in)
    logits  = neurons W_out + b_out

Joined end to end, the half of W_in that u_b meets is the parameter W_in_b and W_in is u_a's;
added, both meet W_in. A vocabulary for each operand makes W_E_b the embedding of b and W_E that of
a; where each meets its own half the two have no basis in common: either can be turned, with its
half, and the network is the same. One-hot inputs select rows of W_in, so there W_in is the
embedding of a, and W_in_b that of b where inputs are joined end to end or vocabularies are
separate, which comes to the same. The defaults (one-hot 2p -> 500 -> p, quadratic, no biases) are
Gromov 2023.

The exact shortcut: what an operand adds to the neurons depends on its residue alone, so W_E W_in
is computed once for p residues and gathered for each pair; a one-hot vector is never formed. This
image, before the bias, is the effective embedding: of one-hot inputs it is the embedding itself.
"""

from torch import Tensor, nn

from trainer.config.schema import MLPSection
from trainer.models import initial
from trainer.models.network import ACTIVATIONS, Activations, Network, plus, take_rows


class MLP(Network):
    """An MLP; embeddings and neuron-logit map are exact, unembedding none."""

    def __init__(self, section: MLPSection, modulus: int, seed: int) -> None:
        super().__init__()
        self.modulus, self.activation = modulus, ACTIVATIONS[section.activation]
        self.embeds = section.inputs == "embedding"
        joins, separate = section.join == "concatenate", section.vocabularies == "separate"
        own_half = joins or (separate and not self.embeds)
        self.adds_embeddings = not (self.embeds and joins)
        self.one_basis = not (self.embeds and joins and separate)
        weights = initial.of_mlp(section, seed)
        inputs, d_mlp = section.d_model if self.embeds else modulus, section.d_mlp
        joined = 2 * inputs if own_half else inputs

        def embedding(name: str, there: bool) -> nn.Parameter | None:
            return weights.matrix(name, modulus, section.d_model) if there else None

        self.W_E = embedding("W_E", self.embeds)
        self.W_E_b = embedding("W_E_b", self.embeds and separate)
        self.W_in = weights.matrix("W_in", inputs, d_mlp, joined)
        self.W_in_b = weights.matrix("W_in_b", inputs, d_mlp, joined) if own_half else None
        self.b_in = weights.bias(d_mlp, joined, "all")
        self.W_out = weights.matrix("W_out", d_mlp, modulus)
        self.b_out = weights.bias(modulus, d_mlp, "all")

    def embeddings(self) -> tuple[Tensor, Tensor]:
        """The embeddings (p, d_model) of a and b; of one-hot inputs the rows of W_in (p, d_mlp)."""
        first = self.W_in if self.W_E is None else self.W_E
        second = self.W_in_b if self.W_E is None else self.W_E_b
        # A slice of all: an output of the ONNX file that is a parameter itself would rename it.
        return first[: self.modulus], (first if second is None else second)[: self.modulus]

    def activations(self, first: Tensor, second: Tensor, pairs: Tensor) -> Activations:
        """All activations of pairs (n, 2), their embeddings given (Network.activations)."""
        if self.embeds:
            of_a = first @ self.W_in  # (p, d_mlp)
            of_b = second @ (self.W_in if self.W_in_b is None else self.W_in_b)
        else:
            of_a, of_b = first, second
        joined = take_rows(plus(of_a, self.b_in), pairs[:, 0])
        neurons = self.activation(joined + take_rows(of_b, pairs[:, 1]))
        logits = plus(neurons @ self.W_out, self.b_out)
        embedding, embedding_b = self.embeddings()
        own_table = (self.W_in_b if self.W_E is None else self.W_E_b) is not None
        own_image = own_table or self.W_in_b is not None
        return Activations(
            logits,
            neurons,
            embedding=embedding,
            embedding_b=embedding_b if own_table else None,
            effective_embedding=of_a,
            effective_embedding_b=of_b if own_image else None,
            neuron_logit_map=self.W_out.T,
        )
