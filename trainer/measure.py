"""What a manifest says about a checkpoint, computed from the very file that is published.

ONNX Runtime evaluates the whole grid on one thread: torch keeps its threads for training, and
the numbers do not depend on the training device.
"""

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from grokprobe.analysis.fourier import spectrum
from grokprobe.analysis.groups import basis_of
from grokprobe.analysis.measures import cross_entropy
from grokprobe.errors import GrokprobeError
from grokprobe.store.manifest import SpectrumRow
from trainer.data import Grid
from trainer.export import Weights, run_logits

# Rows evaluated at once: large enough for matrix products, small enough for the cache.
ROWS = 2_048


class NotFinite(GrokprobeError):
    """Training has left the numbers: the run ends as failed, and nothing of it is published."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__(f"{what} is not finite at step {step}; try a smaller learning rate")
        self.step = step


@dataclass(frozen=True)
class Evaluation:
    """Loss and success of every pair in canonical order; undefined pairs hold nan and False."""

    losses: NDArray[np.float64]  # (p*p,), nats
    hits: NDArray[np.bool_]  # (p*p,)


def evaluate(session: ort.InferenceSession, grid: Grid) -> Evaluation:
    """Run the model over all defined pairs, a few thousand rows at a time."""
    losses = np.full(len(grid.pairs), np.nan)
    hits = np.zeros(len(grid.pairs), dtype=np.bool_)
    defined = np.flatnonzero(grid.train | grid.test)
    for rows in np.array_split(defined, -(-len(defined) // ROWS)):
        logits, answers = run_logits(session, grid.pairs[rows]), grid.answers[rows]
        losses[rows] = cross_entropy(logits, answers)
        hits[rows] = logits.argmax(axis=1) == answers  # ties go to the lowest class
    return Evaluation(losses, hits)


def measure(
    session: ort.InferenceSession, weights: Weights, grid: Grid, step: int
) -> tuple[dict[str, float | None], SpectrumRow]:
    """The measures and the embedding's spectrum of a checkpoint, names by MATHS.

    Raises NotFinite instead of returning a loss that is none.
    """
    evaluation = evaluate(session, grid)
    measures: dict[str, float | None] = {}
    for part, mask in (("train", grid.train), ("test", grid.test)):
        loss = float(evaluation.losses[mask].mean())
        if not np.isfinite(loss):
            raise NotFinite(f"{part}_loss", step)
        measures[f"{part}_loss"] = loss
        measures[f"{part}_accuracy"] = float(evaluation.hits[mask].mean())
    embedding = weights["W_E"][: grid.task.modulus].astype(np.float64)
    row = spectrum(basis_of(grid.task).rows(embedding))
    measures |= {
        "weight_norm": sum(float(np.square(w, dtype=np.float64).sum()) for w in weights.values()),
        "gini_embedding": row.gini,
        "gini_frequencies_embedding": row.gini_frequencies,
        "ipr_embedding": row.ipr,
    }
    return measures, SpectrumRow(constant_power=row.constant_power, power=row.power.tolist())
