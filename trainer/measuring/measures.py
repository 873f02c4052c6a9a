"""What a manifest says about a checkpoint, computed from the very file that is published.

ONNX Runtime evaluates the whole grid on one thread: torch keeps its threads for training, and
the numbers do not depend on the training device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite

import numpy as np
import onnxruntime as ort

from grokprobe.analysis.key_choice import choose_keys
from grokprobe.analysis.measures_table import measures
from grokprobe.analysis.outputs import ROWS, Outputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.readings import EVERYTHING, Reading
from grokprobe.errors import GrokprobeError
from grokprobe.store.records import KeyRecord, SpectrumRow
from grokprobe.task import Residues
from trainer.learning.data import Grid

OF_PAIRS = ("logits", "neurons")
OF_RESIDUES = (
    *("embedding", "embedding_b", "neuron_logit_map"),
    *("effective_embedding", "effective_embedding_b"),
)


class NotFinite(GrokprobeError):
    """Training has left the numbers: the run ends as failed, and nothing of it is published."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(f"{what} is not finite at step {step}; try a smaller learning rate")
        self.step = step


@dataclass(frozen=True)
class SessionOutputs:
    """The outputs of a model by pair, computed a few thousand rows at a time whenever asked."""

    session: ort.InferenceSession
    pairs: Residues
    names: tuple[str, ...]
    rows: int = ROWS

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """Consecutive rows of the named outputs."""
        for chunk in np.array_split(self.pairs, -(-len(self.pairs) // self.rows)):
            yield self.session.run(list(names), {"pairs": chunk})


def read_outputs(
    session: ort.InferenceSession,
    grid: Grid,
    *wanted: str,
    together: Sequence[Reading] = EVERYTHING,
    rows: int = ROWS,
) -> Probe:
    """A model over all pairs, by the wanted outputs that it offers; by all if none is named.

    `rows` are evaluated at once: fewer for models that others made and that need much.
    """
    offered = {output.name for output in session.get_outputs()}
    names = [name for name in wanted or (*OF_PAIRS, *OF_RESIDUES) if name in offered]
    by_pair = SessionOutputs(session, grid.pairs, tuple(n for n in names if n in OF_PAIRS), rows)
    constant = [name for name in names if name in OF_RESIDUES]
    found = session.run(constant, {"pairs": grid.pairs[:1]}) if constant else []
    by_residue = dict(zip(constant, found, strict=True))
    return Probe(grid.task, grid.train, by_pair, together=together, **by_residue)


def measure(probe: Probe, step: int) -> dict[str, float | None]:
    """The measures that need neither weights nor gradients.

    Raises NotFinite instead of returning a loss that is none.
    """
    found = measures(probe)
    for name in ("train_loss", "test_loss", "loss"):
        value = found[name]
        if value is not None and not isfinite(value):
            raise NotFinite(name, step)
    return found


def spectrum_row(probe: Probe) -> SpectrumRow | None:
    """The embedding's spectrum as a manifest carries it."""
    found = probe.embedding_spectrum
    if found is None:
        return None
    return SpectrumRow(constant_power=found.constant_power, power=found.power.tolist())


def own_keys(probe: Probe, step: int) -> KeyRecord | None:
    """The key frequencies of this checkpoint by the default rule."""
    keys = choose_keys(probe)
    return KeyRecord(**asdict(keys), source_step=step) if keys else None
