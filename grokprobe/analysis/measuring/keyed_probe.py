"""A checkpoint with key frequencies: what the measures that need them are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from grokprobe.analysis import progress
from grokprobe.analysis.fourier import key_share
from grokprobe.analysis.probe import Probe
from grokprobe.cached import cached_property


@dataclass(frozen=True)
class KeyedProbe:
    """A checkpoint with a set of key frequencies, which may be empty."""

    probe: Probe
    keys: Sequence[int]

    @cached_property
    def restricted(self) -> progress.Restricted | None:
        """The losses of the key frequencies alone."""
        sums = self.probe.sums if self.keys else None
        if sums is None:
            return None
        return progress.restricted(sums, self.keys, self.probe.train_elements)

    @cached_property
    def excluded(self) -> progress.Excluded | None:
        """The losses of the train pairs without the key frequencies."""
        train, sums = self.probe.train_elements, self.probe.sums if self.keys else None
        if sums is None or train is None:
            return None
        return progress.excluded(self.probe.train_rows(train), sums, self.keys, train)

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
