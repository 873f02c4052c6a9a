"""What a manifest says about a checkpoint, computed from the very file that is published.

ONNX Runtime evaluates the whole grid on one thread: torch keeps its threads for training, and
the numbers do not depend on the training device.
"""

from dataclasses import asdict
from math import isfinite

import numpy as np
import onnxruntime as ort

from grokprobe.analysis.measures_table import measures
from grokprobe.analysis.probe import Outputs, Probe, choose_keys
from grokprobe.errors import GrokprobeError
from grokprobe.store.records import KeyRecord, SpectrumRow
from trainer.learning.data import Grid

# Rows evaluated at once: large enough for matrix products, small enough for the cache.
ROWS = 2_048
OF_PAIRS = ("logits", "neurons")
OF_RESIDUES = ("embedding", "embedding_b", "neuron_logit_map")


class NotFinite(GrokprobeError):
    """Training has left the numbers: the run ends as failed, and nothing of it is published."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(f"{what} is not finite at step {step}; try a smaller learning rate")
        self.step = step


def read_outputs(session: ort.InferenceSession, grid: Grid, *wanted: str) -> Probe:
    """The wanted outputs of a model over all pairs, those that it offers; all if none is named."""
    offered = {output.name for output in session.get_outputs()}
    names = [name for name in wanted or (*OF_PAIRS, *OF_RESIDUES) if name in offered]
    found = _of_pairs(session, grid, [name for name in names if name in OF_PAIRS])
    constant = [name for name in names if name in OF_RESIDUES]
    if constant:
        values = session.run(constant, {"pairs": grid.pairs[:1]})
        found |= dict(zip(constant, values, strict=True))
    return Probe(grid.task, grid.train, **found)


def _of_pairs(session: ort.InferenceSession, grid: Grid, names: list[str]) -> dict[str, Outputs]:
    """Outputs with one row a pair, a few thousand rows at a time."""
    chunks = np.array_split(grid.pairs, -(-len(grid.pairs) // ROWS))
    parts = [session.run(names, {"pairs": chunk}) for chunk in chunks]
    whole = (np.concatenate(part) for part in zip(*parts, strict=True))
    return dict(zip(names, whole, strict=True))


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
