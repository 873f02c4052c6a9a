"""Prometheus metrics of one training: a reporter that counts, and hands on to the one that speaks.

Every metric carries the run: files of several trainers on one machine must not contradict each
other, and a process trains one run, or one ensemble by its group's name. Training sets attributes;
a scrape reads them.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from grokprobe.store.records import CheckpointManifest
from trainer.reporting.progress import SHOWN, TROUBLES, PublishQueue, Reporter, Trouble

PREFIX = "grokprobe_trainer_"
# A checkpoint takes tens of milliseconds; one whose learning coefficient is sampled, minutes.
PUBLICATION_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600)
WORST_FIRST = ("failed", "running", "stopped", "complete")


class TrainerMetrics(Collector):
    """What is known of the training of this process; nothing until it has a run."""

    def __init__(self) -> None:
        self.run, self.device, self.status = "", "", "running"
        self.ends: dict[str, str] = {}  # by run
        self.first_step: int | None = None
        self.step = self.last_step = 0
        self.train_loss: float | None = None
        self.queue: PublishQueue | None = None
        self.checkpoint: CheckpointManifest | None = None  # the last one published
        self.published_at = 0.0  # Unix time
        self.published = self.publication_failures = 0
        self.warnings: Counter[str] = Counter()
        self.publication_seconds = Histogram(
            f"{PREFIX}publication_seconds",
            "Time to publish a checkpoint: export, measures, storage, index.",
            ["run"],
            buckets=PUBLICATION_BUCKETS,
            registry=None,
        )

    @property
    def registry(self) -> CollectorRegistry:
        """These metrics and no other: node_exporter has `process_*` of its own."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def collect(self) -> Iterator[Metric]:
        """The metrics as they stand."""
        if not self.run:
            return
        yield self._gauge("build_info", "1: what runs.", 1, version=version("grokprobe"))
        yield self._gauge("run_info", "The run.", 1, device=self.device)
        yield self._gauge("run_status", "1: how the run stands.", 1, status=self.status)
        yield from self._training()
        yield from self._publication()
        yield from self.publication_seconds.collect()

    def _training(self) -> Iterator[Metric]:
        done = 0 if self.first_step is None else self.step - self.first_step
        yield self._counter("steps", "Optimiser updates done by this process.", done)
        yield self._gauge("step", "The step of the run.", self.step)
        yield self._gauge(
            "last_step", "The step at which the run will be complete.", self.last_step
        )
        if self.train_loss is not None:
            yield self._gauge("train_loss", "Loss of the last step, in nats.", self.train_loss)
        if self.device.startswith("cuda"):
            import torch

            held = torch.cuda.memory_allocated(self.device)
            yield self._gauge("device_memory_bytes", "Memory of the GPU held by tensors.", held)

    def _publication(self) -> Iterator[Metric]:
        if self.queue is not None:
            waiting, bound = self.queue.depth, self.queue.bound
            yield self._gauge("queue_depth", "Checkpoints that wait for publication.", waiting)
            yield self._gauge("queue_bound", "More than so many make training wait.", bound)
        yield self._counter("published_checkpoints", "Checkpoints published.", self.published)
        failures = self.publication_failures
        yield self._counter("publication_failures", "Publications given up.", failures)
        family = CounterMetricFamily(
            f"{PREFIX}warnings", "What training survived, by kind.", labels=("run", "kind")
        )
        for kind in TROUBLES:  # zeros too: an increase is seen from the first
            family.add_metric((self.run, kind), self.warnings[kind])
        yield family
        if self.checkpoint is not None:
            yield from self._checkpoint(self.checkpoint)

    def _checkpoint(self, manifest: CheckpointManifest) -> Iterator[Metric]:
        text = "Unix time of the last publication."
        yield self._gauge("last_publication_timestamp_seconds", text, self.published_at)
        yield self._gauge("checkpoint_step", "Step of the last published.", manifest.step)
        for name in SHOWN:
            if (value := manifest.measures[name]) is not None:
                yield self._gauge(f"checkpoint_{name}", "Of the last published.", value)

    def _gauge(self, name: str, text: str, value: float, **labels: str) -> Metric:
        family = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=("run", *labels))
        family.add_metric((self.run, *labels.values()), value)
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"{PREFIX}{name}", text, labels=("run",))
        family.add_metric((self.run,), value)
        return family


class MeteredReporter:
    """Notes what it is told in the metrics, then tells the other reporter."""

    def __init__(self, metrics: TrainerMetrics, reporter: Reporter) -> None:
        self._metrics, self._reporter = metrics, reporter

    def start(self, run: str, steps: int, device: str, first: int = 0) -> None:
        """Note run, device and last step."""
        self._metrics.device, self._metrics.last_step = device, steps
        self._metrics.publication_seconds.labels(run)  # there from the start, with zeros
        self._metrics.run = run
        self._reporter.start(run, steps, device, first)

    def timed(self, seconds: Mapping[int, float], threads: int) -> None:
        """Note nothing: the number of threads has no metric."""
        self._reporter.timed(seconds, threads)

    def step(self, step: int, loss: float) -> None:
        """Note step and loss."""
        metrics = self._metrics
        if metrics.first_step is None:
            metrics.first_step = step
        metrics.step, metrics.train_loss = step, loss
        self._reporter.step(step, loss)

    def sampled(self, step: int, draw: int, draws: int) -> None:
        """Note nothing: draws have no metric."""
        self._reporter.sampled(step, draw, draws)

    def publishing(self, queue: PublishQueue) -> None:
        """Note the queue, and the time of all that it does."""
        self._metrics.queue, queue.done = queue, self._done
        self._reporter.publishing(queue)

    def _done(self, seconds: float, failed: bool) -> None:
        if failed:
            self._metrics.publication_failures += 1
        else:
            self._metrics.publication_seconds.labels(self._metrics.run).observe(seconds)

    def published(self, manifest: CheckpointManifest) -> None:
        """Note the checkpoint, its measures, and when."""
        self._metrics.run = self._metrics.run or manifest.run  # an import has no start
        self._metrics.checkpoint, self._metrics.published_at = manifest, time.time()
        self._metrics.published += 1
        self._reporter.published(manifest)

    def warn(self, message: str, kind: Trouble = "other") -> None:
        """Count the warning by its kind."""
        self._metrics.warnings[kind] += 1
        self._reporter.warn(message, kind)

    def end(self, run: str, status: str, step: int, message: str) -> None:
        """Note the status, of an ensemble the worst; one to be resumed is `running` still."""
        self._metrics.run = self._metrics.run or run
        self._metrics.ends[run] = status
        ends = self._metrics.ends.values()
        self._metrics.status = next(status for status in WORST_FIRST if status in ends)
        self._metrics.step = step
        self._reporter.end(run, status, step, message)

    def close(self) -> None:
        """Close the other reporter."""
        self._reporter.close()
