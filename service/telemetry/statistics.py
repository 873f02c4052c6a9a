"""Triton's statistics extension: requests of each checkpoint, and where their time went."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

RequestPhase = Literal["queue", "compute_input", "compute_infer", "compute_output"]

MAX_CHECKPOINTS = 10_000  # those asked for longest ago are forgotten first


class Duration(msgspec.Struct):
    """How often, and nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """One more, which took so long."""
        self.count += 1
        self.ns += ns


class InferenceStatistics(msgspec.Struct):
    """By request; `queue` is the wait for a checkpoint to be loaded.

    Answers are not cached, so nothing is ever a cache hit or miss.
    """

    success: Duration = msgspec.field(default_factory=Duration)
    fail: Duration = msgspec.field(default_factory=Duration)
    queue: Duration = msgspec.field(default_factory=Duration)
    compute_input: Duration = msgspec.field(default_factory=Duration)
    compute_infer: Duration = msgspec.field(default_factory=Duration)
    compute_output: Duration = msgspec.field(default_factory=Duration)
    cache_hit: Duration = msgspec.field(default_factory=Duration)
    cache_miss: Duration = msgspec.field(default_factory=Duration)


class BatchStatistics(msgspec.Struct):
    """Of the executions of one batch size: 1 where, as here, a request brings its own rows."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(msgspec.Struct):
    """What was asked of a checkpoint since the process started; `last_inference` in Unix ms."""

    name: str
    version: str
    last_inference: int = 0
    inference_count: int = 0
    execution_count: int = 0
    inference_stats: InferenceStatistics = msgspec.field(default_factory=InferenceStatistics)
    batch_stats: list[BatchStatistics] = []

    def succeeded(self, phases: dict[RequestPhase, int]) -> None:
        """One more request that was answered, with the nanoseconds of its phases."""
        found = self.inference_stats
        found.success.add(sum(phases.values()))
        for phase, ns in phases.items():
            getattr(found, phase).add(ns)
        self.last_inference = time.time_ns() // 1_000_000
        self.inference_count = self.execution_count = found.success.count
        self.batch_stats = [
            BatchStatistics(1, found.compute_input, found.compute_infer, found.compute_output)
        ]


class Stopwatch:
    """Nanoseconds of a request, by phase."""

    def __init__(self) -> None:
        self.started = self._last = time.perf_counter_ns()
        self.phases: dict[RequestPhase, int] = {}

    def lap(self, phase: RequestPhase) -> None:
        """What passed since the last lap was this phase."""
        now = time.perf_counter_ns()
        self.phases[phase], self._last = now - self._last, now


class Statistics:
    """The statistics of every checkpoint that was asked for by the protocol."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], ModelStatistics] = OrderedDict()

    @contextmanager
    def request(self, run: str, step: int) -> Iterator[Stopwatch]:
        """Count one request, as a success unless it raises."""
        found = self._known.setdefault((run, step), ModelStatistics(run, str(step)))
        self._known.move_to_end((run, step))
        if len(self._known) > MAX_CHECKPOINTS:
            self._known.popitem(last=False)
        watch = Stopwatch()
        try:
            yield watch
        except BaseException:
            found.inference_stats.fail.add(time.perf_counter_ns() - watch.started)
            raise
        found.succeeded(watch.phases)

    def of(self, run: str, step: int) -> ModelStatistics:
        """Those of one checkpoint, zero if it was never asked for."""
        return self._known.get((run, step)) or ModelStatistics(run, str(step))

    def all(self) -> list[ModelStatistics]:
        """Those of all that were asked for."""
        return list(self._known.values())
