"""Training, in the order it runs: forward, check, publish?, backward, update."""

import ctypes
import math
import os
from collections.abc import Sequence
from typing import Protocol

import torch
from torch.utils import deterministic

from grokprobe.errors import InvalidInput
from grokprobe.machine.cpus import most_threads
from trainer.config.schema import TrainingSection
from trainer.learning.learner import Learner

CHUNK = 100  # steps that a GPU does at most before anybody looks
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


class Callback(Protocol):
    """Who is told how training goes, in the order of the steps. `members` are counted from 0."""

    def due(self, step: int) -> bool:
        """Whether `reached` wants to see that step."""

    def reached(self, learner: Learner) -> None:
        """A step that is due, the initial weights being step 0; may block."""

    def failed(self, member: int, step: int) -> None:
        """The train loss of a member is no number to go on with, from that step on."""

    def report(self, step: int, losses: Sequence[float]) -> None:
        """The train losses of the members at a step; on a GPU only of some steps."""

    def stopping(self) -> bool:
        """Whether to stop after this step."""


def prepare(section: TrainingSection) -> torch.device:
    """Make torch deterministic and quick, choose the device, limit the threads.

    Raises InvalidInput if a GPU is forced, or needed, and there is none.
    """
    _keep_memory()
    # Once a network has memorised, most of its gradients are denormal numbers, at which some
    # processors compute six times as slowly. OpenMP's threads inherit this when they start.
    torch.set_flush_denormal(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS refuses determinism
    torch.use_deterministic_algorithms(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # never read here
    found = torch.cuda.is_available()
    if section.device == "cuda" and not found:
        raise InvalidInput("training.device", "cuda is forced, but torch finds no GPU here")
    device = torch.device("cuda" if found and section.device != "cpu" else "cpu")
    if section.precision == "tf32" and device.type != "cuda":
        raise InvalidInput("training.precision", "tf32 is a GPU's; here there is none to train on")
    most = 1 if device.type == "cuda" else most_threads()  # a GPU is told what to do by one
    torch.set_num_threads(section.threads or most)
    return device


def _keep_memory() -> None:
    """Have glibc keep what is freed for the next step, which wants as much again.

    Otherwise large tensors go back to the system and come as new pages, each a fault and zeroed:
    a tenth of a step of `mainline` on two cores, nearly half of an ensemble's of `gromov`.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):  # not of every C library
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def train(learner: Learner, steps: int, callback: Callback) -> int:
    """Train from where the learner stands up to `steps`; return the step that was reached."""
    if learner.device.type == "cuda":
        return _train_in_chunks(learner, steps, callback)
    while True:
        losses = learner.losses()
        values = losses.tolist()
        _check(callback, learner.step, values)
        if callback.due(learner.step):
            callback.reached(learner)
        callback.report(learner.step, values)
        if learner.step == steps or callback.stopping():
            return learner.step
        learner.update(losses)


def _train_in_chunks(learner: Learner, steps: int, callback: Callback) -> int:
    """The same, with a look at the losses once a chunk, because looking means waiting for a GPU."""
    while True:
        start = learner.step
        if callback.due(start):
            callback.reached(learner)
        if start == steps or callback.stopping():
            return start
        ahead = range(start + 1, min(start + CHUNK, steps))
        until = next((step for step in ahead if callback.due(step)), ahead.stop)
        history = learner.advance(until)
        for step, values in enumerate(history, start):
            _check(callback, step, values)
        callback.report(until - 1, history[-1])


def _check(callback: Callback, step: int, losses: Sequence[float]) -> None:
    for member, loss in enumerate(losses):
        if not math.isfinite(loss):
            callback.failed(member, step)
