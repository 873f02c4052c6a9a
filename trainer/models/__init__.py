"""Architectures. Each maps pairs (n, 2) to Activations, in one form for training and export."""

from trainer.config.schema import MLPSection, ModelSection
from trainer.models.layered import LayeredTransformer
from trainer.models.mlp import MLP
from trainer.models.network import Network
from trainer.models.transformer import Transformer


def make_network(section: ModelSection, modulus: int, seed: int) -> Network:
    """The network of a section with the initial weights of a seed, in its exact fast form."""
    if isinstance(section, MLPSection):
        return MLP(section, modulus, seed)
    if section.layers == 1 and section.layer_norm == "none":
        return Transformer(section, modulus, seed)
    return LayeredTransformer(section, modulus, seed)
