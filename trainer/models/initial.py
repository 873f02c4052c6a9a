"""Initial weights, drawn on the CPU from one generator, so that they depend on the seed alone.

A weight matrix has its inputs as rows. By the word in the configuration:

- mainline (Nanda et al. 2023): N(0, 1/d_model), the unembedding N(0, 1/p), biases 0;
- pizza (Zhong et al. 2023): the same, but W_in N(0, 1/d_mlp);
- gromov (Gromov 2023): N(0, s^2) with s = 0.5 / (2 d_mlp)^(1/3), biases 0; embeddings, which that
  paper has not, N(0, 1/d_model), so that neurons see what one-hot inputs would give them;
- pytorch: the defaults of torch.nn, as Power et al. 2022 leave them: embeddings and positions
  N(0, 1), matrices and biases uniform within 1/sqrt(inputs) of 0.
"""

from collections.abc import Mapping
from math import sqrt

import torch
from torch import nn

from trainer.config.schema import MLPSection, TransformerSection

EMBEDDINGS = ("W_E", "W_E_b", "W_pos")


class InitialWeights:
    """Draws one parameter after the other."""

    def __init__(self, seed: int, divisors: Mapping[str, float] | None, biases: str) -> None:
        """Take what divides N(0, 1), by parameter, "" for all others; None: torch's defaults.

        `biases` is the section's word for those that the network has.
        """
        self._generator = torch.Generator().manual_seed(seed)
        self._divisors, self._biases = divisors, biases

    def matrix(self, name: str, rows: int, columns: int, inputs: int | None = None) -> nn.Parameter:
        """A weight matrix, a row an input (`inputs` where more share it); or embeddings."""
        if self._divisors is None and name not in EMBEDDINGS:
            return self._uniform((rows, columns), inputs or rows)
        divisors = self._divisors or {"": 1.0}
        normal = torch.randn(rows, columns, generator=self._generator)
        return nn.Parameter(normal / divisors.get(name, divisors[""]))

    def bias(self, size: int, inputs: int, *words: str) -> nn.Parameter | None:
        """The bias of a matrix with so many inputs; None unless `biases` is one of the words."""
        if self._biases not in words:
            return None
        if self._divisors is None:
            return self._uniform((size,), inputs)
        return nn.Parameter(torch.zeros(size))

    def _uniform(self, shape: tuple[int, ...], inputs: int) -> nn.Parameter:
        bound = 1 / sqrt(inputs)
        return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=self._generator))


def of_transformer(section: TransformerSection, modulus: int, seed: int) -> InitialWeights:
    """The initial weights of a transformer."""
    if section.initialisation == "pytorch":
        return InitialWeights(seed, None, section.biases)
    divisors = {"": sqrt(section.d_model), "W_U": sqrt(modulus)}
    if section.initialisation == "pizza":
        divisors["W_in"] = sqrt(section.d_mlp)
    return InitialWeights(seed, divisors, section.biases)


def of_mlp(section: MLPSection, seed: int) -> InitialWeights:
    """The initial weights of an MLP."""
    if section.initialisation == "pytorch":
        return InitialWeights(seed, None, section.biases)
    embedding, others = sqrt(section.d_model), 2 * (2 * section.d_mlp) ** (1 / 3)
    divisors = {"": others, "W_E": embedding, "W_E_b": embedding}
    return InitialWeights(seed, divisors, section.biases)
