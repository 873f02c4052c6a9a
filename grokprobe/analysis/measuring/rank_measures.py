"""The rows of the table of measures that tell how many directions, or frequencies, are used."""

from grokprobe.analysis.measuring.definitions import MeasureDefinition
from grokprobe.analysis.ranks import effective_rank, participation_ratio

TOP = 5  # frequencies: a grokked network of the field's main task has about as many keys

RANKS = (
    MeasureDefinition(
        "participation_ratio_embedding",
        "participation ratio of the embedding, the mean row taken out",
        ("embedding",),
        lambda probe: participation_ratio(probe.embedding_singular_values),
    ),
    MeasureDefinition(
        "effective_rank_embedding",
        "effective rank of the embedding, the mean row taken out",
        ("embedding",),
        lambda probe: effective_rank(probe.embedding_singular_values),
    ),
    MeasureDefinition(
        "top_share_embedding",
        "share of the embedding's power in its 5 strongest frequencies, the constant left out",
        ("embedding",),
        lambda probe: s.top_share(TOP) if (s := probe.embedding_spectrum) else None,
    ),
    MeasureDefinition(
        "top_share_embedding_with_constant",
        "share of the embedding's power in the 5 strongest of its frequencies and the constant",
        ("embedding",),
        lambda probe: s.top_share_with_constant(TOP) if (s := probe.embedding_spectrum) else None,
    ),
)

RANKS_BY_REQUEST = (
    MeasureDefinition(
        "participation_ratio_neurons",
        "participation ratio of the activations over all pairs, each neuron centred",
        ("neurons",),
        lambda probe: participation_ratio(probe.neuron_singular_values),
        by_request=True,
    ),
    MeasureDefinition(
        "effective_rank_neurons",
        "effective rank of the activations over all pairs, each neuron centred",
        ("neurons",),
        lambda probe: effective_rank(probe.neuron_singular_values),
        by_request=True,
    ),
    MeasureDefinition(
        "participation_ratio_weights",
        "participation ratio of each weight matrix, by its name",
        ("weights",),
        of_weights=lambda matrices: matrices.each(participation_ratio),
        by_request=True,
    ),
    MeasureDefinition(
        "effective_rank_weights",
        "effective rank of each weight matrix, by its name",
        ("weights",),
        of_weights=lambda matrices: matrices.each(effective_rank),
        by_request=True,
    ),
)
