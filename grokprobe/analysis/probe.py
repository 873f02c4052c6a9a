"""One checkpoint, read from its outputs over all pairs: what measures are made of.

The outputs are read some rows at a time and never held whole (outputs.py): a `Reading` takes the
pairs of one a after another and keeps sums. The first that is asked for reads the outputs, and
whatever else is in `together` in the same pass.

What the operation, the split or the model's outputs do not admit is None.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grokprobe.analysis import measures as scalars
from grokprobe.analysis.basis import Basis, basis_of
from grokprobe.analysis.fourier import Array, Spectrum
from grokprobe.analysis.irreps import IrrepSpectrum
from grokprobe.analysis.logits import LogitCoefficients, LogitSums
from grokprobe.analysis.measures import PairFigures
from grokprobe.analysis.neurons import Neurons, NeuronSums
from grokprobe.analysis.outputs import Outputs, PairOutputs, slabs
from grokprobe.analysis.pairs.answers import PairAnswers
from grokprobe.analysis.ranks import Gram
from grokprobe.analysis.readings import EVERYTHING, OUTPUT_OF, Reading, TrainRows, by_element, sweep
from grokprobe.analysis.spectra import spectrum_of
from grokprobe.analysis.waves.reading import Waves, read_waves
from grokprobe.cached import cached_property
from grokprobe.task import UNDEFINED, Mask, Residues, Task, answers

Part = Literal["train", "test"]  # of the split


@dataclass(frozen=True)
class Probe:
    """A checkpoint: its outputs by pair, and those with a row for each residue.

    Of all pairs `logits` (p*p, p) and `neurons` (p*p, d_mlp); embedding (p, d_model),
    neuron_logit_map (p, d_mlp), embedding_b (p, d_model) where operand b has a table of its own,
    effective_embedding (p, d_mlp) of an MLP, effective_embedding_b where b has another; None, or
    not among the outputs, where the model does not offer them. `train` (p*p,) is None where the
    split is unknown.
    """

    task: Task
    train: Mask | None
    outputs: PairOutputs
    embedding: Outputs | None = None
    neuron_logit_map: Outputs | None = None
    embedding_b: Outputs | None = None
    effective_embedding: Outputs | None = None
    effective_embedding_b: Outputs | None = None
    together: Sequence[Reading] = EVERYTHING

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
    def kept(self) -> dict[str, Any]:
        """The readings made so far, and what measures have computed for each other, by name."""
        return {}

    def _read(self, wanted: Reading) -> Any:
        """A reading that is there or can be made; None where it cannot."""
        if wanted not in self.kept:
            new = {name for name in (wanted, *self.together) if name not in self.kept}
            made = {name: self._empty(name) for name in sorted(new)}
            there = {name: reading for name, reading in made.items() if reading is not None}
            sweep(self.outputs, self.basis, self.task.modulus, there)
            self.kept.update(made.items())
        return self.kept[wanted]

    def _empty(self, name: Reading) -> Any:
        """A reading that has read nothing yet; None where it cannot be made."""
        basis, of_neurons = self.basis, OUTPUT_OF[name] == "neurons"
        if OUTPUT_OF[name] not in self.outputs.names or (name == "neurons" and not basis.cyclic):
            return None
        if of_neurons:
            return Gram() if name == "gram" else NeuronSums(basis.order)
        if name in ("answers", "figures"):
            is_short = name == "answers"
            return PairAnswers(self.answers) if is_short else PairFigures(self.answers, self.train)
        if basis.direction is None:
            return None
        if name == "sums":
            return LogitSums(basis.order, basis.direction)
        return None if self.train_elements is None else TrainRows(self.train_elements)

    @property
    def _figures(self) -> PairFigures:
        found: PairFigures = self._read("figures")
        return found

    @property
    def pair_answers(self) -> PairAnswers:
        """What is answered to each pair and by how much, without its losses."""
        found: PairAnswers = self._read("answers")
        return found

    @property
    def predicted(self) -> NDArray[np.uint16]:
        """What is answered to each pair, known or not, (p*p,)."""
        return self._figures.predicted

    @property
    def losses(self) -> Array:
        """The cross-entropy of each known pair, in nats."""
        return self._figures.losses[self.known]

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the largest logit of each known pair is the answer's; ties: the lowest class."""
        return self._figures.hits[self.known]

    def of_part(self, part: Part, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the known pairs over a part of the split; none where it is unknown."""
        if self.train is None:
            return values[:0]
        found: NDArray[Any] = values[self.train[self.known] == (part == "train")]
        return found

    def mean(self, values: NDArray[Any], part: Part) -> float | None:
        """The mean of values of the known pairs over a part of the split; None for an empty one."""
        found = self.of_part(part, values)
        return float(np.mean(found)) if found.size else None

    @property
    def sums(self) -> LogitSums | None:
        """The logits by the answer's element; None where the answer has none."""
        found: LogitSums | None = self._read("sums")
        return found

    @cached_property
    def train_elements(self) -> NDArray[np.bool_] | None:
        """The train pairs over the group's elements, (n, n)."""
        if self.train is None:
            return None
        return self.train.reshape(2 * (self.task.modulus,))[np.ix_(*2 * (self.basis.residues,))]

    def train_rows(self, train: NDArray[np.bool_]) -> Iterator[tuple[int, Array]]:
        """Each element of a with the logits (pairs, n) of its train pairs, (n, n).

        Those that are held, if they have been read, else computed once more.
        """
        if (held := self.kept.get("train_rows")) is not None:
            yield from held
            return
        for first, [logits] in slabs(self.outputs, ["logits"], self.task.modulus):
            for i, rows in by_element(self.basis, first, logits, of_classes=True):
                yield i, rows[train[i]].astype(np.float64)

    @cached_property
    def coefficients(self) -> LogitCoefficients | None:
        """How the logits depend on the answer's element; None where the answer has none."""
        return self.sums.coefficients if self.sums else None

    @property
    def neuron_sums(self) -> NeuronSums | None:
        """The sums of the neurons' activations; None where the model has no such output."""
        sums: NeuronSums | None = self._read("neurons")
        return sums

    @cached_property
    def read_neurons(self) -> Neurons | None:
        """The frequency of each neuron."""
        sums = self.neuron_sums
        return sums.neurons if sums else None

    @cached_property
    def neuron_singular_values(self) -> Array | None:
        """Of the activations over all pairs, each neuron centred; None without such an output."""
        gram: Gram | None = self._read("gram")
        return gram.singular_values if gram else None

    @cached_property
    def waves(self) -> Waves | None:
        """What each neuron reads and writes at its frequency; None where `read_neurons` is."""
        sums, found = self.neuron_sums, self.read_neurons
        if sums is None or found is None:
            return None
        outputs = self.effective_embedding, self.effective_embedding_b, self.neuron_logit_map
        rows = [None if matrix is None else self.basis.rows(matrix) for matrix in outputs]
        return read_waves(sums, found, self.basis.direction, *rows)

    def spectrum(self, matrix: Outputs | None) -> Spectrum | IrrepSpectrum | None:
        """The spectrum of an output with one row a residue; None where it is not on offer."""
        return None if matrix is None else spectrum_of(self.basis, self.basis.rows(matrix))

    @cached_property
    def embedding_spectrum(self) -> Spectrum | IrrepSpectrum | None:
        """The spectrum of the embedding."""
        return self.spectrum(self.embedding)

    @cached_property
    def _components(self) -> tuple[Array, Array] | None:
        """The principal components of the embedding with their singular values."""
        if self.embedding is None:
            return None
        return scalars.principal_components(self.basis.rows(self.embedding))

    @property
    def embedding_singular_values(self) -> Array | None:
        """Of the embedding, its mean row taken out; None where the model does not offer it."""
        return self._components[1] if self._components else None

    @property
    def circularity(self) -> float | None:
        """`circularity` of the embedding, operand a's; None where rows have no frequencies."""
        of_rows = self._components if self.basis.cyclic else None
        return scalars.circularity_of(*of_rows) if of_rows else None

    @property
    def circularity_b(self) -> float | None:
        """`circularity` of operand b's own embedding; None where it has none."""
        if self.embedding_b is None or not self.basis.cyclic:
            return None
        return scalars.circularity(self.basis.rows(self.embedding_b))

    @property
    def distance_irrelevance(self) -> float | None:
        """`distance_irrelevance` of the logits; None where the answer has no element."""
        sums = self.sums
        return scalars.distance_irrelevance(sums.correct, sums.direction) if sums else None

    @property
    def softmax_collapse(self) -> float | None:
        """The share of train pairs whose float32 softmax rounds to 1; None without any."""
        if self.train is None or not self.train.any():
            return None
        return float(np.mean(self._figures.is_collapsed[self.train]))
