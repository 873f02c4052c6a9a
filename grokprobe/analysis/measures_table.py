"""Every measure of a checkpoint, one row each: name, meaning, what it needs, function.

Whoever computes, stores, shows or documents measures reads this table; its order is theirs. A
measure is None where the checkpoint lacks what it needs: an output of the model, a known split, or
an operation that has it.
"""

from collections.abc import Sequence

from grokprobe.analysis.fourier import Spectrum
from grokprobe.analysis.irreps import IrrepSpectrum
from grokprobe.analysis.measuring.definitions import MeasureDefinition, Need, Value
from grokprobe.analysis.measuring.keyed_probe import KeyedProbe
from grokprobe.analysis.measuring.log_probabilities import LOG_PROBABILITIES
from grokprobe.analysis.measuring.rank_measures import RANKS, RANKS_BY_REQUEST
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.representations.rows import OF_REPRESENTATIONS
from grokprobe.analysis.waves.rows import OF_WAVES


def _gini(found: Spectrum | IrrepSpectrum | None) -> float | None:
    return found.gini if isinstance(found, Spectrum) else None


MEASURES = (
    MeasureDefinition(
        "loss",
        "mean cross-entropy over all pairs, in nats",
        of_outputs=lambda probe: float(probe.losses.mean()),
    ),
    MeasureDefinition(
        "accuracy",
        "share of pairs whose largest logit is the answer; ties: lowest residue",
        of_outputs=lambda probe: float(probe.hits.mean()),
    ),
    MeasureDefinition(
        "train_loss",
        "`loss` over the train pairs",
        ("split",),
        lambda probe: probe.mean(probe.losses, "train"),
        in_rows=True,
    ),
    MeasureDefinition(
        "train_accuracy",
        "`accuracy` over the train pairs",
        ("split",),
        lambda probe: probe.mean(probe.hits, "train"),
        in_rows=True,
    ),
    MeasureDefinition(
        "test_loss",
        "`loss` over the test pairs",
        ("split",),
        lambda probe: probe.mean(probe.losses, "test"),
        in_rows=True,
    ),
    MeasureDefinition(
        "test_accuracy",
        "`accuracy` over the test pairs",
        ("split",),
        lambda probe: probe.mean(probe.hits, "test"),
        in_rows=True,
    ),
    MeasureDefinition(
        "weight_norm", "sum of squares of every trained parameter", ("weights",), in_rows=True
    ),
    MeasureDefinition("weight_l2", "root of `weight_norm`", ("weights",)),
    MeasureDefinition(
        "gini_embedding",
        "Gini coefficient of the embedding's cosine and sine norms: 0 flat, towards 1 sparse",
        ("embedding", "frequencies"),
        lambda probe: _gini(probe.embedding_spectrum),
        in_rows=True,
    ),
    MeasureDefinition(
        "gini_frequencies_embedding",
        "Gini coefficient of the root of each frequency's power in the embedding: blind to phase",
        ("embedding",),
        lambda probe: s.gini_frequencies if (s := probe.embedding_spectrum) else None,
    ),
    MeasureDefinition(
        "ipr_embedding",
        "sum of squared shares of the embedding's power: 1 for one frequency",
        ("embedding",),
        lambda probe: s.ipr if (s := probe.embedding_spectrum) else None,
    ),
    MeasureDefinition(
        "gini_neuron_logit_map",
        "`gini_embedding` of the neuron-logit map W_out W_U",
        ("neuron_logit_map", "frequencies"),
        lambda probe: _gini(probe.spectrum(probe.neuron_logit_map)),
    ),
    MeasureDefinition(
        "neurons_clustered",
        "share of live neurons that one frequency explains",
        ("neurons", "frequencies"),
        lambda probe: n.clustered_share if (n := probe.read_neurons) else None,
    ),
    MeasureDefinition(
        "fve_mean",
        "mean over live neurons of the variance that their best frequency explains",
        ("neurons", "frequencies"),
        lambda probe: n.mean_fve if (n := probe.read_neurons) else None,
    ),
    *OF_WAVES,
    MeasureDefinition(
        "circularity",
        "how much of each of the first 4 principal components is one frequency, mean",
        ("embedding", "frequencies"),
        lambda probe: probe.circularity,
    ),
    MeasureDefinition(
        "circularity_b",
        "`circularity` of operand b's embedding, where b has its own",
        ("embedding_b", "frequencies"),
        lambda probe: probe.circularity_b,
    ),
    MeasureDefinition(
        "distance_irrelevance",
        "how much the correct logit depends on a - b beside a + b: high for clock, low for pizza",
        ("direction",),
        lambda probe: probe.distance_irrelevance,
    ),
    MeasureDefinition(
        "softmax_collapse",
        "share of train pairs whose float32 softmax rounds to 1: they train no more",
        ("split",),
        lambda probe: probe.softmax_collapse,
    ),
    MeasureDefinition(
        "gradient_symmetricity",
        "mean over 100 fixed triples (a, b, c) of the cosine between the gradients of the logit "
        "of c in the embeddings of a and of b",
        ("gradients",),
    ),
    MeasureDefinition(
        "gradient_symmetricity_standard_error",
        "standard error of `gradient_symmetricity` over its triples",
        ("gradients",),
    ),
    *RANKS,
    *LOG_PROBABILITIES,
    MeasureDefinition(
        "key_share",
        "share of the embedding's power in the key frequencies",
        ("keys", "embedding"),
        of_keys=lambda keyed: keyed.key_share,
    ),
    MeasureDefinition(
        "restricted_loss",
        "loss of the logits with nothing but cos and sin of the key frequencies of a + b left, "
        "over all pairs, in nats",
        ("keys", "direction"),
        of_keys=lambda keyed: r.loss if (r := keyed.restricted) else None,
    ),
    MeasureDefinition(
        "restricted_loss_train",
        "`restricted_loss` over the train pairs",
        ("keys", "direction", "split"),
        of_keys=lambda keyed: r.loss_train if (r := keyed.restricted) else None,
    ),
    MeasureDefinition(
        "restricted_loss_test",
        "`restricted_loss` over the test pairs",
        ("keys", "direction", "split"),
        of_keys=lambda keyed: r.loss_test if (r := keyed.restricted) else None,
    ),
    MeasureDefinition(
        "restricted_accuracy",
        "accuracy of the logits of `restricted_loss`, over all pairs",
        ("keys", "direction"),
        of_keys=lambda keyed: r.accuracy if (r := keyed.restricted) else None,
    ),
    MeasureDefinition(
        "excluded_loss",
        "loss on the train pairs without the key frequencies, in nats",
        ("keys", "direction", "split"),
        of_keys=lambda keyed: e.loss if (e := keyed.excluded) else None,
    ),
    MeasureDefinition(
        "excluded_loss_per_key",
        "`excluded_loss` with one key frequency taken out at a time",
        ("keys", "direction", "split"),
        of_keys=lambda keyed: keyed.excluded_per_key,
    ),
    *RANKS_BY_REQUEST,
    *OF_REPRESENTATIONS,
)


def names_that_need(need: Need) -> tuple[str, ...]:
    """The names of the measures that need this, in the order of the table."""
    return tuple(measure.name for measure in MEASURES if need in measure.needs)


ROW_MEASURES = tuple(measure.name for measure in MEASURES if measure.in_rows)
KEY_MEASURES = names_that_need("keys")


def measures(probe: Probe) -> dict[str, float | None]:
    """Every measure of a checkpoint's outputs that is published, by name: without keys."""
    return {m.name: m.of_outputs(probe) for m in MEASURES if m.of_outputs and not m.by_request}


def key_measures(probe: Probe, keys: Sequence[int]) -> dict[str, Value]:
    """Every measure that depends on key frequencies, by name.

    Raises InvalidInput for a key that is no frequency of the operation, or stands twice.
    """
    keyed = KeyedProbe(probe, keys)
    return {m.name: m.of_keys(keyed) for m in MEASURES if m.of_keys}
