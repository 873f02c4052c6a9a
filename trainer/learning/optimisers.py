"""From gradients to updates: torch's optimisers, and the learning rate of each step.

adamw   Loshchilov and Hutter 2019: decoupled weight decay, on every parameter, biases included
sgd     momentum; its weight decay is part of the gradient
muon    Jordan et al. 2024: orthogonalised momentum for the matrices between embedding and
        unembedding, AdamW for all else; its steps are scaled to the size of AdamW's (Liu et al.
        2025), so that learning rate and weight decay mean the same
"""

from collections.abc import Mapping, Sequence
from math import cos, pi
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Muon, Optimizer

from trainer.config.schema import OptimiserSection

OUTER = ("W_E", "W_E_b", "W_pos", "W_U")  # what muon leaves to AdamW, beside vectors

Parameters = Mapping[str, Tensor]
ParameterGroup = tuple[OptimiserSection, Parameters]  # parameters that share a rate and a decay


def make_optimisers(parts: Sequence[ParameterGroup]) -> list[Optimizer]:
    """The optimisers of networks whose sections differ in learning rate and weight decay alone.

    On a GPU the rate of adamw and sgd is a tensor there, which a captured step reads.
    """
    section, parameters = parts[0]
    on_gpu = next(iter(parameters.values())).is_cuda
    if section.name == "sgd":
        return [SGD(_groups(parts, on_gpu), momentum=section.momentum, fused=True)]
    kinds: dict[str, Any] = {"betas": section.betas, "fused": True}
    if section.name == "adamw":
        return [AdamW(_groups(parts, on_gpu), capturable=on_gpu, **kinds)]
    hidden = [(s, {n: w for n, w in named.items() if _is_hidden(n, w)}) for s, named in parts]
    others = [(s, {n: w for n, w in named.items() if not _is_hidden(n, w)}) for s, named in parts]
    muon = Muon(_groups(hidden, False), momentum=section.momentum, adjust_lr_fn="match_rms_adamw")
    return [muon, AdamW(_groups(others, False), **kinds)]


def _is_hidden(name: str, weights: Tensor) -> bool:
    return weights.ndim == 2 and name.rpartition(".")[2] not in OUTER


def _groups(parts: Sequence[ParameterGroup], on_gpu: bool) -> list[dict[str, Any]]:
    """torch's parameter groups; `initial_lr` is what the schedule scales."""
    groups = []
    for section, parameters in parts:
        rate: float | Tensor = section.learning_rate
        if on_gpu:
            rate = torch.tensor(rate, device=next(iter(parameters.values())).device)
        groups.append(
            {
                "params": list(parameters.values()),
                "lr": rate,
                "initial_lr": section.learning_rate,
                "weight_decay": section.weight_decay,
            }
        )
    return groups


def share_of_rate(section: OptimiserSection, step: int, steps: int) -> float:
    """The learning rate of the update after `step`, of `steps` in all, as a share of the whole.

    Linear from 1 / warmup_steps up to 1; then constant, or down to 0 in a line or half a cosine.
    """
    if step < section.warmup_steps:
        return (step + 1) / section.warmup_steps
    done = (step - section.warmup_steps) / max(steps - section.warmup_steps, 1)
    if section.schedule == "linear":
        return 1 - done
    return (1 + cos(pi * done)) / 2 if section.schedule == "cosine" else 1.0


def set_rate(optimisers: Sequence[Optimizer], share: float) -> None:
    """Scale every group's learning rate."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            rate = group["initial_lr"] * share
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
