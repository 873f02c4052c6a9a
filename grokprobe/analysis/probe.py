"""One checkpoint, read whole: its measures and its key frequencies, from outputs over all pairs.

The names of the measures are those of docs/maths.md. A measure that the operation, the split or the
model's outputs do not admit is None.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis import keys as rules
from grokprobe.analysis import progress
from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.fourier import Array, Spectrum, key_share
from grokprobe.analysis.irreps import IrrepSpectrum
from grokprobe.analysis.keys import Keys
from grokprobe.analysis.logits import LogitCoefficients, cube, logit_coefficients
from grokprobe.analysis.measures import (
    circularity,
    cross_entropy,
    distance_irrelevance,
    softmax_collapse,
)
from grokprobe.analysis.neurons import Neurons, read_neurons
from grokprobe.analysis.nulls import SMALLEST_ORDER
from grokprobe.analysis.spectra import spectrum_of
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers

Outputs = NDArray[np.float32]
Measures = dict[str, float | None]
KeyMeasures = dict[str, float | dict[str, float] | None]
T = TypeVar("T")

RULES = ("logits", "neurons", "embedding")
KEY_MEASURES = (
    "key_share",
    "restricted_loss",
    "restricted_loss_train",
    "restricted_loss_test",
    "restricted_accuracy",
    "excluded_loss",
    "excluded_loss_per_key",
)


@dataclass(frozen=True)
class Probe:
    """The outputs of one checkpoint over all pairs in canonical order.

    logits (p*p, p), neurons (p*p, d_mlp), embedding (p, d_model), neuron_logit_map (p, d_mlp);
    None where the model does not offer them. `train` (p*p,) is None where the split is unknown.
    """

    task: Task
    train: Mask | None
    logits: Outputs
    neurons: Outputs | None = None
    embedding: Outputs | None = None
    neuron_logit_map: Outputs | None = None

    @cached_property
    def basis(self) -> Basis:
        """The basis of the operation."""
        return basis_of(self.task)

    @cached_property
    def answers(self) -> Residues:
        """The answer of each pair, (p*p,)."""
        return answers(self.task)

    @cached_property
    def cube(self) -> Array:
        """The logits over the group's elements, (n, n, n)."""
        return cube(self.logits, self.basis)

    @cached_property
    def train_elements(self) -> NDArray[np.bool_] | None:
        """The train pairs over the group's elements, (n, n)."""
        if self.train is None:
            return None
        p, kept = self.task.modulus, self.basis.residues
        return self.train.reshape(p, p)[np.ix_(kept, kept)]

    @cached_property
    def coefficients(self) -> LogitCoefficients | None:
        """How the logits depend on the answer's element; None where the answer has none."""
        direction = self.basis.direction
        return logit_coefficients(self.cube, direction) if direction else None

    @cached_property
    def read_neurons(self) -> Neurons | None:
        """The frequency of each neuron."""
        if self.neurons is None or not self.basis.cyclic:
            return None
        p, kept = self.task.modulus, self.basis.residues
        values = self.neurons.reshape(p, p, -1)
        natural = self.basis.reindex == "natural"
        return read_neurons(values if natural else values[np.ix_(kept, kept)])

    def spectrum(self, matrix: Outputs | None) -> Spectrum | IrrepSpectrum | None:
        """The spectrum of an output with one row a residue; None where it is not on offer."""
        return None if matrix is None else spectrum_of(self.basis, self.basis.rows(matrix))

    @cached_property
    def embedding_spectrum(self) -> Spectrum | IrrepSpectrum | None:
        """The spectrum of the embedding."""
        return self.spectrum(self.embedding)


def measures(probe: Probe) -> Measures:
    """Every measure that needs neither key frequencies nor gradients, by name."""
    known = probe.answers != UNDEFINED
    truth = probe.answers[known]
    losses = cross_entropy(probe.logits[known], truth)
    hits = probe.logits[known].argmax(axis=1) == truth  # ties go to the lowest class
    train = None if probe.train is None else probe.train[known]
    test = None if train is None else ~train
    return {
        "loss": float(losses.mean()),
        "accuracy": float(hits.mean()),
        "train_loss": _mean(losses, train),
        "train_accuracy": _mean(hits, train),
        "test_loss": _mean(losses, test),
        "test_accuracy": _mean(hits, test),
        **_structure(probe),
    }


def _mean(values: NDArray[Any], mask: Mask | None) -> float | None:
    return None if mask is None or not mask.any() else float(np.mean(values[mask]))


def _structure(probe: Probe) -> Measures:
    """The measures of what the weights and the logits look like."""
    embedding, neurons = probe.embedding_spectrum, probe.read_neurons
    out = probe.spectrum(probe.neuron_logit_map)
    circles = probe.embedding if probe.basis.cyclic else None
    direction = probe.basis.direction
    return {
        "gini_embedding": embedding.gini if isinstance(embedding, Spectrum) else None,
        "gini_frequencies_embedding": embedding.gini_frequencies if embedding else None,
        "ipr_embedding": embedding.ipr if embedding else None,
        "gini_neuron_logit_map": out.gini if isinstance(out, Spectrum) else None,
        "neurons_clustered": neurons.clustered_share if neurons else None,
        "fve_mean": neurons.mean_fve if neurons else None,
        "circularity": None if circles is None else circularity(probe.basis.rows(circles)),
        "distance_irrelevance": distance_irrelevance(probe.cube, direction) if direction else None,
        "softmax_collapse": None
        if probe.train is None
        else softmax_collapse(probe.logits[probe.train]),
    }


def choose_keys(probe: Probe, rule: str = "logits", threshold: float | None = None) -> Keys | None:
    """The key frequencies by a rule; None where the operation has none.

    `threshold` is that of the rule `logits`. Raises InvalidInput for an unknown rule, a threshold
    that the rule does not take, or an output that the model does not offer.
    """
    if rule not in RULES:
        raise InvalidInput("key_rule", f"must be one of {', '.join(RULES)}, got {rule!r}")
    if threshold is not None and rule != "logits":
        raise InvalidInput("key_threshold", f"the rule {rule} takes none; it is of the rule logits")
    if probe.coefficients is None or probe.basis.order < SMALLEST_ORDER:
        return None
    if rule == "logits":
        return rules.keys_by_logits(
            probe.coefficients, rules.LOGITS if threshold is None else threshold
        )
    if rule == "neurons":
        return rules.keys_by_neurons(_offered(probe.read_neurons, rule), probe.basis.order)
    return rules.keys_by_embedding(probe.basis.rows(_offered(probe.embedding, rule)))


def _offered(output: T | None, rule: str) -> T:
    if output is None:
        raise InvalidInput("key_rule", f"the rule {rule} needs an output that this model lacks")
    return output


def key_measures(probe: Probe, keys: Sequence[int]) -> KeyMeasures:
    """Every measure that depends on key frequencies; None without any, or without a group."""
    found: KeyMeasures = dict.fromkeys(KEY_MEASURES)
    spectrum, direction = probe.embedding_spectrum, probe.basis.direction
    if spectrum is not None:
        found["key_share"] = key_share(spectrum.power, keys)
    if keys and direction is not None:
        found |= _progress(probe, keys, direction)
    return found


def _progress(probe: Probe, keys: Sequence[int], direction: str) -> KeyMeasures:
    """The losses of the key frequencies alone, and of all others."""
    train = probe.train_elements
    alone = progress.restricted(probe.cube, keys, direction, train)
    found: KeyMeasures = {
        "restricted_loss": alone.loss,
        "restricted_loss_train": alone.loss_train,
        "restricted_loss_test": alone.loss_test,
        "restricted_accuracy": alone.accuracy,
    }
    without = None if train is None else progress.excluded(probe.cube, keys, direction, train)
    if without is not None:
        found["excluded_loss"] = without.loss
        found["excluded_loss_per_key"] = {str(k): loss for k, loss in without.per_key.items()}
    return found
