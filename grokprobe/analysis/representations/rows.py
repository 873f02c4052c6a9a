"""The rows of the table of measures that say what a representation holds; all by request."""

from grokprobe.analysis.measuring.definitions import MeasureDefinition
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.representations.loops import Loop, largest_loop, loop_p_value
from grokprobe.analysis.representations.readouts import accuracy


def _loop(probe: Probe) -> Loop | None:
    """The largest loop of the embedding, over the elements of the group."""
    if probe.embedding is None:
        return None
    if "loop" not in probe.kept:
        probe.kept["loop"] = largest_loop(probe.basis.rows(probe.embedding))
    found: Loop | None = probe.kept["loop"]
    return found


def _loop_p_value(probe: Probe) -> float | None:
    embedding = probe.embedding
    return None if embedding is None else loop_p_value(probe.basis.rows(embedding))


OF_REPRESENTATIONS = (
    MeasureDefinition(
        "readout_accuracy_embedding_sum",
        "share of pairs that a ridge readout of the embeddings' sum answers right, held out",
        ("embedding",),
        lambda probe: accuracy(probe, "embedding_sum"),
        by_request=True,
    ),
    MeasureDefinition(
        "readout_accuracy_embedding_sum_test",
        "`readout_accuracy_embedding_sum` over the test pairs",
        ("embedding", "split"),
        lambda probe: accuracy(probe, "embedding_sum", "test"),
        by_request=True,
    ),
    MeasureDefinition(
        "readout_accuracy_neurons",
        "share of pairs that a ridge readout of the neurons answers right, held out",
        ("neurons",),
        lambda probe: accuracy(probe, "neurons"),
        by_request=True,
    ),
    MeasureDefinition(
        "readout_accuracy_neurons_test",
        "`readout_accuracy_neurons` over the test pairs",
        ("neurons", "split"),
        lambda probe: accuracy(probe, "neurons", "test"),
        by_request=True,
    ),
    MeasureDefinition(
        "readout_accuracy_residual",
        "share of pairs that a ridge readout of what the unembedding reads answers right, held out",
        ("residual",),
        lambda probe: accuracy(probe, "residual"),
        by_request=True,
    ),
    MeasureDefinition(
        "readout_accuracy_residual_test",
        "`readout_accuracy_residual` over the test pairs",
        ("residual", "split"),
        lambda probe: accuracy(probe, "residual", "test"),
        by_request=True,
    ),
    MeasureDefinition(
        "loop_birth",
        "distance that closes the embedding's largest loop, as a share of the largest distance",
        ("embedding", "topology"),
        lambda probe: loop.birth if (loop := _loop(probe)) else None,
        by_request=True,
    ),
    MeasureDefinition(
        "loop_death",
        "distance that fills the embedding's largest loop, as a share of the largest distance",
        ("embedding", "topology"),
        lambda probe: loop.death if (loop := _loop(probe)) else None,
        by_request=True,
    ),
    MeasureDefinition(
        "loop_persistence",
        "`loop_death` less `loop_birth`; 0 without a loop",
        ("embedding", "topology"),
        lambda probe: loop.persistence if (loop := _loop(probe)) else None,
        by_request=True,
    ),
    MeasureDefinition(
        "loop_p_value",
        "how often a loop persists as long with the entries within each column permuted",
        ("embedding", "topology"),
        _loop_p_value,
        by_request=True,
    ),
)
