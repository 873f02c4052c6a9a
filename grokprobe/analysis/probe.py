"""One checkpoint, read whole from its outputs over all pairs: what measures are made of, its keys.

What the operation, the split or the model's outputs do not admit is None.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis import keys as rules
from grokprobe.analysis import measures as scalars
from grokprobe.analysis import progress
from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.fourier import Array, Spectrum, key_share
from grokprobe.analysis.irreps import IrrepSpectrum
from grokprobe.analysis.keys import Keys
from grokprobe.analysis.logits import LogitCoefficients, cube, logit_coefficients
from grokprobe.analysis.neurons import Neurons, read_neurons
from grokprobe.analysis.nulls import SMALLEST_ORDER
from grokprobe.analysis.spectra import spectrum_of
from grokprobe.errors import InvalidInput
from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers

Outputs = NDArray[np.float32]
T = TypeVar("T")

RULES = ("logits", "neurons", "embedding")


@dataclass(frozen=True)
class Probe:
    """The outputs of one checkpoint over all pairs in canonical order.

    logits (p*p, p), neurons (p*p, d_mlp), embedding (p, d_model), neuron_logit_map (p, d_mlp),
    embedding_b (p, d_model) where operand b has a table of its own; None where the model does not
    offer them. `train` (p*p,) is None where the split is unknown.
    """

    task: Task
    train: Mask | None
    logits: Outputs
    neurons: Outputs | None = None
    embedding: Outputs | None = None
    neuron_logit_map: Outputs | None = None
    embedding_b: Outputs | None = None

    @cached_property
    def basis(self) -> Basis:
        """The basis of the operation."""
        return basis_of(self.task)

    @cached_property
    def answers(self) -> Residues:
        """The answer of each pair, (p*p,)."""
        return answers(self.task)

    @cached_property
    def known(self) -> Mask:
        """The pairs that have an answer, (p*p,)."""
        known: Mask = self.answers != UNDEFINED
        return known

    @cached_property
    def losses(self) -> Array:
        """The cross-entropy of each known pair, in nats."""
        return scalars.cross_entropy(self.logits[self.known], self.answers[self.known])

    @cached_property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the largest logit of each known pair is the answer's; ties: the lowest class."""
        hits: NDArray[np.bool_] = self.logits[self.known].argmax(axis=1) == self.answers[self.known]
        return hits

    def mean(self, values: NDArray[Any], part: Literal["train", "test"]) -> float | None:
        """The mean of values of the known pairs over a part of the split; None for an empty one."""
        if self.train is None:
            return None
        mask = self.train[self.known] == (part == "train")
        return float(np.mean(values[mask])) if mask.any() else None

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

    @property
    def circularity(self) -> float | None:
        """`circularity` of the embedding, operand a's; None where rows have no frequencies."""
        return self._circularity(self.embedding)

    @property
    def circularity_b(self) -> float | None:
        """`circularity` of operand b's own embedding; None where it has none."""
        return self._circularity(self.embedding_b)

    def _circularity(self, matrix: Outputs | None) -> float | None:
        if matrix is None or not self.basis.cyclic:
            return None
        return scalars.circularity(self.basis.rows(matrix))

    @property
    def distance_irrelevance(self) -> float | None:
        """`distance_irrelevance` of the cube; None where the answer has no element."""
        direction = self.basis.direction
        return scalars.distance_irrelevance(self.cube, direction) if direction else None

    @property
    def softmax_collapse(self) -> float | None:
        """`softmax_collapse` of the train pairs."""
        return None if self.train is None else scalars.softmax_collapse(self.logits[self.train])


@dataclass(frozen=True)
class KeyedProbe:
    """A checkpoint with a set of key frequencies, which may be empty."""

    probe: Probe
    keys: Sequence[int]

    @cached_property
    def restricted(self) -> progress.Restricted | None:
        """The losses of the key frequencies alone."""
        probe, direction = self.probe, self.probe.basis.direction
        if not self.keys or direction is None:
            return None
        return progress.restricted(probe.cube, self.keys, direction, probe.train_elements)

    @cached_property
    def excluded(self) -> progress.Excluded | None:
        """The losses of the train pairs without the key frequencies."""
        probe, direction = self.probe, self.probe.basis.direction
        if not self.keys or direction is None or probe.train_elements is None:
            return None
        return progress.excluded(probe.cube, self.keys, direction, probe.train_elements)

    @property
    def key_share(self) -> float | None:
        """The share of the embedding's power in the key frequencies."""
        spectrum = self.probe.embedding_spectrum
        return None if spectrum is None else key_share(spectrum.power, self.keys)

    @property
    def excluded_per_key(self) -> dict[str, float] | None:
        """The losses of the train pairs without one key frequency at a time."""
        found = self.excluded
        return None if found is None else {str(k): loss for k, loss in found.per_key.items()}


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
