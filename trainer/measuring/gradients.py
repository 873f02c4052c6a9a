"""Measures that need gradients, so torch: computed at publication, read from the manifest.

Gradient symmetricity (Zhong et al. 2023, section 4): for a triple of residues (a, b, c), the
cosine between dL_c/dE_a and dL_c/dE_b, the gradients of the logit of c for the pair (a, b) with
respect to the two token embeddings, separate leaves even when a = b, before positions are added.
Near 1 for a pizza, which adds the embeddings; far below for a clock, which multiplies them.
"""

import random
from array import array
from functools import lru_cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from grokprobe.analysis.fourier import NEGLIGIBLE
from grokprobe.analysis.measures_table import names_that_need
from grokprobe.store.records import LearningCoefficient
from grokprobe.task import Residues
from trainer.config.schema import Config
from trainer.learning.data import Grid
from trainer.learning.snapshot import Snapshot
from trainer.measuring.learning_coefficient import learning_coefficient, network_loss
from trainer.models import make_network
from trainer.models.network import Network
from trainer.reporting.progress import Reporter

TRIPLES = 100
NAMES = names_that_need("gradients")


@lru_cache
def triples(modulus: int) -> Residues:
    """The first TRIPLES of all (a, b, c) in lexicographic order after `random.Random(42).shuffle`.

    int64 (TRIPLES, 3); all p^3 where there are fewer. The order is that of the published figures,
    and it comes from no less than the whole shuffle: 4 p^3 bytes and 0.3 us each, once a process
    (0.1 s for p = 59, 0.4 s for p = 113, a minute and half a gigabyte for p = 509).
    """
    order = array("I", range(modulus**3))
    random.Random(42).shuffle(order)
    shape = (modulus, modulus, modulus)
    return np.stack(np.unravel_index(order[:TRIPLES], shape), axis=1).astype(np.int64)


def gradient_symmetricity(model: Network) -> tuple[float, float] | None:
    """The mean over triples and its standard error; None where a gradient is zero.

    None too where the network adds the two embeddings, which makes it 1 by construction, and where
    they have no common basis, so that a cosine says nothing. Where each operand has a vocabulary of
    its own, its embedding is that one's. Computed on the model's device and in its precision: give
    it float64 weights.
    """
    if model.adds_embeddings or not model.one_basis:
        return None
    tables = [table.detach() for table in model.embeddings()]
    a, b, c = torch.from_numpy(triples(model.modulus)).to(tables[0].device).T
    first, second = (t[rows].requires_grad_() for t, rows in zip(tables, (a, b), strict=True))
    own_rows = torch.arange(len(c), device=c.device)[:, None].expand(-1, 2)
    logits = model.activations(first, second, own_rows).logits
    asked = logits.gather(1, c[:, None]).sum()  # a row has no gradient but its own triple's
    return mean_cosine(*torch.autograd.grad(asked, (first, second)))


def mean_cosine(u: Tensor, v: Tensor) -> tuple[float, float] | None:
    """The mean cosine of rows (n, width) and its standard error; None where a row is zero."""
    norms = u.norm(dim=1), v.norm(dim=1)
    if torch.stack(norms).min() < NEGLIGIBLE:
        return None
    cosines = (u * v).sum(1) / (norms[0] * norms[1])
    return cosines.mean().item(), cosines.std().item() / len(cosines) ** 0.5


def gradient_measures(model: Network) -> dict[str, float | None]:
    """Every measure of a checkpoint that needs gradients, by its name in the manifest."""
    return dict(zip(NAMES, gradient_symmetricity(model) or (None, None), strict=True))


class Gradients:
    """What gradients say of a run's snapshots, by a network beside the one that trains."""

    def __init__(
        self, config: Config, grid: Grid, device: torch.device, reporter: Reporter
    ) -> None:
        """Make the network; `device` samples the learning coefficient, the CPU does the rest."""
        self._section, self._last = config.local_learning_coefficient, config.training.steps
        self._network = make_network(config.model, config.task.modulus, seed=0).double()
        self._pairs, self._answers = grid.train_part(device)
        self._reporter, self._threads = reporter, ThreadpoolController()

    def measures(self, snapshot: Snapshot) -> dict[str, float | None]:
        """The measures of a snapshot, in float64 on the CPU, by the calling thread alone.

        Threads of its own would outnumber the cores for ever, and OpenMP then lets those that
        train sleep at every barrier: steps of `quickstart` took 1.7 times as long.
        """
        weights = {name: torch.from_numpy(w) for name, w in snapshot.weights.items()}
        torch.get_num_threads()  # at its first use in a thread torch sets what is limited here
        with self._threads.limit(limits=1, user_api="openmp"):
            self._network.load_state_dict(weights)
            return gradient_measures(self._network)

    def learning_coefficient(self, snapshot: Snapshot) -> LearningCoefficient | None:
        """The local learning coefficient where the configuration asks for it, in float32."""
        step, every, draws = snapshot.step, self._section.every, self._section.draws
        if not every or (step % every and step != self._last):
            return None
        return learning_coefficient(
            network_loss(self._network, self._pairs, self._answers),
            torch.cat([torch.from_numpy(w).flatten() for w in snapshot.weights.values()]).to(
                self._pairs.device
            ),
            len(self._pairs),
            self._section,
            lambda draw: self._reporter.sampled(step, draw, draws),
        )
