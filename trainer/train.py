"""Training, in the order it runs: forward, check, publish?, backward, update."""

import math
import os
from collections.abc import Callable, Container
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils import deterministic

from grokprobe.errors import InvalidInput
from trainer.config import Config, OptimiserSection, TrainingSection
from trainer.data import Grid
from trainer.export import Logits, Weights
from trainer.loss import cross_entropy
from trainer.measure import NotFinite


@dataclass(frozen=True)
class Snapshot:
    """The weights after `step` updates, on the CPU, and what torch answers with them."""

    step: int
    weights: Weights
    sample_logits: Logits  # of Grid.sample()


def prepare(section: TrainingSection) -> torch.device:
    """Make torch deterministic and choose the device.

    Raises InvalidInput if a GPU is forced and there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS refuses determinism
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # never read here
    if section.threads:
        torch.set_num_threads(section.threads)
    found = torch.cuda.is_available()
    if section.device == "cuda" and not found:
        raise InvalidInput("training.device", "cuda is forced, but torch finds no GPU here")
    return torch.device("cuda" if found and section.device != "cpu" else "cpu")


def make_optimiser(model: nn.Module, section: OptimiserSection) -> torch.optim.Optimizer:
    """AdamW on every parameter, biases included, in one fused kernel."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=section.learning_rate,
        betas=section.betas,
        weight_decay=section.weight_decay,
        fused=True,
    )


def warm_up(optimiser: torch.optim.Optimizer, section: OptimiserSection, step: int) -> None:
    """Set the learning rate of the update that follows `step`: linear up to `warmup_steps`."""
    share = min(1.0, (step + 1) / max(section.warmup_steps, 1))
    for group in optimiser.param_groups:
        group["lr"] = section.learning_rate * share


def take_snapshot(model: nn.Module, sample: Tensor, step: int) -> Snapshot:
    """Copy the weights to the CPU; training goes on with its own."""
    with torch.no_grad():
        logits = model(sample).logits.cpu().numpy()
    weights = {name: w.detach().cpu().numpy().copy() for name, w in model.named_parameters()}
    return Snapshot(step, weights, logits)


def train(
    config: Config,
    model: nn.Module,
    grid: Grid,
    *,
    due: Container[int],
    publish: Callable[[Snapshot], None],
    report: Callable[[int, float], None],
    stopping: Callable[[], bool],
) -> int:
    """Train on the full batch of train pairs; return the number of updates done.

    `publish` gets a snapshot of every step in `due`, step 0 being the initial weights; it may
    block. `report` gets every step and its train loss in nats. `stopping` is asked after each
    step. Raises NotFinite at the first step whose loss is not a number to go on with.
    """
    device = next(model.parameters()).device
    pairs, answers = grid.train_part(device)
    sample = torch.from_numpy(grid.sample()).to(device)
    optimiser = make_optimiser(model, config.optimiser)

    for step in range(config.training.steps + 1):
        loss = cross_entropy(model(pairs).logits, answers)  # after `step` updates
        value = loss.item()
        if not math.isfinite(value):
            raise NotFinite("train_loss", step)
        if step in due:
            publish(take_snapshot(model, sample, step))
        report(step, value)
        if step == config.training.steps or stopping():
            break

        loss.backward()  # type: ignore[no-untyped-call]
        warm_up(optimiser, config.optimiser, step)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return step
