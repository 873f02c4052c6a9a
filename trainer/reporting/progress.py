"""What a trainer says while it works: a bar for people, JSON lines for programs."""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TextIO, get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from grokprobe.settings import Settings
from grokprobe.store.records import CheckpointManifest

PROGRESS_S = 5.0  # between two lines about steps alone
SHOWN = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def shown(measures: Mapping[str, float | None]) -> dict[str, float]:
    """The losses and accuracies of train and test; of all pairs where the split is unknown."""
    names = SHOWN if measures["train_loss"] is not None else ("loss", "accuracy")
    return {name: value for name in names if (value := measures[name]) is not None}


class PublishQueue(Protocol):
    """What waits to be published, as those see it who report on it."""

    bound: int
    # Told of each piece of work that is done: its seconds, and whether it failed.
    done: Callable[[float, bool], None]

    @property
    def depth(self) -> int:
        """How many pieces of work wait; any thread may ask."""


Trouble = Literal["store", "index", "metrics", "other"]  # what a warning is about
TROUBLES: tuple[Trouble, ...] = get_args(Trouble)


class Reporter(Protocol):
    """`step` is called from the training thread, `sampled` and `published` from the publisher's."""

    def start(self, run: str, steps: int, device: str, first: int = 0) -> None:
        """Training begins, or goes on at step `first`; an ensemble under its group's name."""

    def timed(self, seconds: Mapping[int, float], threads: int) -> None:
        """Steps took so long by numbers of threads, of which one was chosen to train."""

    def step(self, step: int, loss: float) -> None:
        """`step` updates are done, and this is the train loss after them."""

    def sampled(self, step: int, draw: int, draws: int) -> None:
        """`draw` of `draws` are done for the local learning coefficient of a checkpoint."""

    def published(self, manifest: CheckpointManifest) -> None:
        """A checkpoint can be read by anyone now."""

    def publishing(self, queue: PublishQueue) -> None:
        """All that waits in this queue from now on are checkpoints to publish."""

    def warn(self, message: str, kind: Trouble = "other") -> None:
        """Something failed that training survives."""

    def end(self, run: str, status: str, step: int, message: str) -> None:
        """A run has ended, or stopped to be resumed; `message` says so to a person."""

    def close(self) -> None:
        """Leave the terminal as it was; may be called again."""


class TextReporter:
    """A progress bar on a terminal, with one line above it for each checkpoint."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}"),  # 60 characters: a terminal of 80 shows a bar
            console=self._console,
            expand=True,
        )
        self._task = self._bar.add_task("training", total=None, facts="")
        self._sampling = self._bar.add_task("sampling", visible=False, facts="")
        self._run, self._first, self._began = "", 0, time.monotonic()
        self._accuracy, self._count = "", 0

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def start(self, run: str, steps: int, device: str, first: int = 0) -> None:
        """Show the bar."""
        going_on = f", from step {first:,}" if first else ""
        self._print(f"training {run} on {device}: {steps:,} steps{going_on}")
        self._bar.update(self._task, total=steps)
        self._run, self._first, self._began = run, first, time.monotonic()
        if self._console.is_terminal:
            self._bar.start()

    def timed(self, seconds: Mapping[int, float], threads: int) -> None:
        """Print why so many threads train."""
        found = ", ".join(f"{1e3 * s:.1f} ms by {n}" for n, s in seconds.items())
        self._print(f"a step takes {found} threads: training by {threads}")

    def step(self, step: int, loss: float) -> None:
        """Move the bar."""
        rate = (step - self._first) / max(time.monotonic() - self._began, 1e-9)
        facts = f"loss {loss:.1e}{self._accuracy} {rate:.0f} steps/s {self._count} published"
        self._bar.update(self._task, completed=step, facts=facts)

    def sampled(self, step: int, draw: int, draws: int) -> None:
        """Show a second bar, until the checkpoint is published."""
        facts = f"draws: learning coefficient of step {step}"
        self._bar.update(self._sampling, completed=draw, total=draws, facts=facts, visible=True)

    def published(self, manifest: CheckpointManifest) -> None:
        """Print the checkpoint."""
        self._bar.update(self._sampling, visible=False)
        self._count += 1
        found = shown(manifest.measures)
        member = f"{manifest.run} " if self._run not in ("", manifest.run) else ""
        line, self._accuracy = f"{member}step {manifest.step:>6}", ""
        for name, value in found.items():
            if name.endswith("loss"):
                line += f"  {name.replace('_', ' ')} {value:.2e}"
            else:
                line += f" accuracy {value:.3f}"
                self._accuracy += f" {name.removesuffix('_accuracy')} {value:.2f}"
        self._print(line)

    def publishing(self, queue: PublishQueue) -> None:
        """Show nothing: there is no room on the line."""

    def warn(self, message: str, kind: Trouble = "other") -> None:
        """Print a warning above the bar."""
        self._print(f"warning: {message}")

    def end(self, run: str, status: str, step: int, message: str) -> None:
        """Print the message; the bar of an ensemble stays until all its runs have ended."""
        if run == self._run:
            self.close()
        self._print(message)

    def close(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar.live.is_started:
            self._bar.stop()


def print_json(event: Mapping[str, Any]) -> None:
    """Print one line on stdout, in one write: another thread's must not come in between.

    Where nobody reads any more, training goes on unheard.
    """
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class JsonReporter:
    """One JSON object a line on stdout; nothing for a single step."""

    def __init__(self) -> None:
        self._run = ""
        self._told_at, self._told_step = math.inf, 0  # of the latest `progress`

    def _print(self, event: str, **facts: Any) -> None:
        print_json({"event": event, **facts})

    def start(self, run: str, steps: int, device: str, first: int = 0) -> None:
        """Print the event `start`."""
        self._run, self._told_at = run, math.inf
        self._print("start", run=run, steps=steps, device=device, first=first)

    def timed(self, seconds: Mapping[int, float], threads: int) -> None:
        """Print the event `threads`."""
        found = {str(number): round(1e3 * taken, 3) for number, taken in seconds.items()}
        self._print("threads", threads=threads, step_ms=found)

    def step(self, step: int, loss: float) -> None:
        """Print the event `progress`, every PROGRESS_S: there are thousands of steps."""
        now = time.monotonic()
        if self._told_at == math.inf:  # the first step of this process, which need not be 0
            self._told_at, self._told_step = now, step
        if (passed := now - self._told_at) >= PROGRESS_S:
            rate = round((step - self._told_step) / passed, 3)
            self._told_at, self._told_step = now, step
            self._print("progress", run=self._run, step=step, train_loss=loss, steps_per_s=rate)

    def sampled(self, step: int, draw: int, draws: int) -> None:
        """Print nothing: there are hundreds of draws."""

    def published(self, manifest: CheckpointManifest) -> None:
        """Print the event `checkpoint`."""
        facts = shown(manifest.measures)
        self._print("checkpoint", run=manifest.run, step=manifest.step, **facts)

    def publishing(self, queue: PublishQueue) -> None:
        """Print nothing: the metrics show the queue."""

    def warn(self, message: str, kind: Trouble = "other") -> None:
        """Print the event `warning`."""
        self._print("warning", kind=kind, message=message)

    def end(self, run: str, status: str, step: int, message: str) -> None:
        """Print the event `end`."""
        self._print("end", run=run, status=status, step=step, message=message)

    def close(self) -> None:
        """Do nothing: there is no terminal to restore."""


def wants_text(settings: Settings, stream: TextIO) -> bool:
    """Whether to print text, by GROKPROBE_LOG_FORMAT: `auto` does on a terminal, else JSON."""
    return settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())


def make_reporter(settings: Settings) -> Reporter:
    """Text or JSON lines, as the settings want it."""
    return TextReporter() if wants_text(settings, sys.stdout) else JsonReporter()
