"""Pairs of a checkpoint in parts: threads compute them ahead of the analysis that reads them.

At most AHEAD + 1 parts exist at a time, whatever the modulus.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from grokprobe.analysis.outputs import Outputs
from grokprobe.machine.cpus import allowed_cpus
from grokprobe.task import pairs
from service.inference.batching import BatchRun, run_timed
from service.inference.checkpoints import Checkpoint
from service.inference.guarded import Submit

# Pairs in one run of larger work: a third faster than all pairs at once, in less memory, and the
# parts run beside each other.
PART_PAIRS = 1_024
AHEAD = allowed_cpus()


def part_pairs(checkpoint: Checkpoint) -> int:
    """Pairs in one run of larger work on a checkpoint."""
    return min(PART_PAIRS, checkpoint.bounds.pairs_at_once)


class Parts:
    """Runs of a checkpoint, taken by an analysis in a thread that is none of those that compute."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.submit: Submit | None = None  # what starts a part in another thread
        self.pairs = checkpoint.table.task.modulus**2
        self.first_s: float | None = None  # when the first part began (time.perf_counter)
        self.inferring_s = 0.0

    @property
    def is_kept(self) -> bool:
        """Whether all is at hand, so that nothing is computed."""
        return False

    def ahead(self, works: Iterable[Callable[[], BatchRun]]) -> Iterator[list[Outputs]]:
        """What one work after another gives, the next ones under way."""
        assert self.submit, "somebody computes what is not kept"
        under_way: deque[Future[BatchRun]] = deque()
        try:
            for work in works:
                under_way.append(self.submit(work))
                if len(under_way) > AHEAD:
                    yield self._result(under_way.popleft())
            while under_way:
                yield self._result(under_way.popleft())
        finally:
            for future in under_way:
                future.cancel()

    def _result(self, future: Future[BatchRun]) -> list[Outputs]:
        ran = future.result()
        self.first_s = ran.began if self.first_s is None else self.first_s
        self.inferring_s += ran.ended - ran.began
        return ran.columns


class Sweep(Parts):
    """Outputs of a checkpoint over all pairs, those `kept` at hand (outputs.PairOutputs)."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        names: tuple[str, ...],
        kept: Mapping[str, Outputs],
    ) -> None:
        super().__init__(checkpoint)
        self._names, self._kept = names, kept

    @property
    def names(self) -> Collection[str]:
        """Those that can be read."""
        return self._names

    @property
    def is_kept(self) -> bool:
        """Whether every output is at hand: reading it again costs nothing."""
        return self._kept.keys() >= set(self._names)

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """Consecutive rows of the named outputs; the runs are those that a kept grid takes."""
        missing = [name for name in names if name not in self._kept]
        size = part_pairs(self.checkpoint)
        slices = [slice(at, at + size) for at in range(0, self.pairs, size)]
        computed = self._computed(missing, slices) if missing else iter([])
        for rows in slices:
            found = {name: self._kept[name][rows] for name in names if name in self._kept}
            if missing:
                found |= zip(missing, next(computed), strict=True)
            yield [found[name] for name in names]

    def _computed(self, names: list[str], slices: list[slice]) -> Iterator[list[Outputs]]:
        """The outputs of one part after another."""
        asked = pairs(self.checkpoint.table.task.modulus)

        def work(part: slice) -> BatchRun:
            return run_timed(lambda given: self.checkpoint.outputs(names, given), asked[part])

        return self.ahead(partial(work, part) for part in slices)
