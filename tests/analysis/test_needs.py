"""What an analysis says it takes is an upper bound of what it takes, and not far above it."""

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.fourier import basis, frequencies
from grokprobe.analysis.key_choice import RULES, choose_keys
from grokprobe.analysis.measures_table import key_measures, measures
from grokprobe.analysis.needs import reading_bytes, readout_bytes
from grokprobe.analysis.outputs import Outputs
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.readings import EVERYTHING, Reading
from grokprobe.analysis.representations.readouts import accuracy
from grokprobe.task import Operation, Task


@dataclass(frozen=True)
class Drawn:
    """Outputs that are drawn anew each time, a few rows at a time, as a session computes them."""

    p: int
    rows: int
    widths: dict[str, int]

    @property
    def names(self) -> Sequence[str]:
        """Those on offer."""
        return list(self.widths)

    def blocks(self, names: Sequence[str]) -> Iterator[Sequence[Outputs]]:
        """The same numbers each time."""
        rng, pairs = np.random.default_rng(0), self.p**2
        for start in range(0, pairs, self.rows):
            count = min(self.rows, pairs - start)
            every = {
                name: rng.random((count, width), np.float32) for name, width in self.widths.items()
            }
            yield [every[name] for name in names]


def peak(task: Task, outputs: Drawn, readings: Sequence[Reading], keys: list[int]) -> int:
    """The most memory while every measure and rule is computed."""
    train: NDArray[np.bool_] = np.arange(outputs.p**2) % 3 == 0
    basis_of(task)
    basis.cache_clear()
    assert np.ma  # a module that numpy imports when it is first needed
    tracemalloc.start()
    try:
        probe = Probe(task, train, outputs, together=readings)
        if "figures" in readings:
            measures(probe)
        if "answers" in readings:
            assert len(probe.pair_answers.predicted) == outputs.p**2
        if "gram" in readings:
            assert probe.neuron_singular_values is not None
        for rule in RULES[:2]:
            if {"logits": "sums", "neurons": "neurons"}[rule] in readings:
                choose_keys(probe, rule)
        if "sums" in readings:
            key_measures(probe, keys)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


RESIDUES = [o for o in get_args(Operation) if o != "s5"]
READINGS: list[tuple[Reading, ...]] = [
    EVERYTHING,
    ("sums",),
    ("sums", "train_rows"),
    ("neurons",),
    ("gram",),
    ("neurons", "gram"),
    ("figures",),
    ("answers",),
    (*EVERYTHING, "train_rows"),
]


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(RESIDUES),
    st.sampled_from([5, 13, 59, 97]),
    st.sampled_from([1, 32, 300]),
    st.sampled_from([16, 500, 2048]),
    st.sampled_from(READINGS),
    st.data(),
)
def test_no_analysis_takes_more_than_it_says(
    operation: Operation,
    p: int,
    width: int,
    rows: int,
    readings: tuple[Reading, ...],
    data: st.DataObject,
) -> None:
    """Whatever the operation, the modulus, the widths, the readings and the number of keys."""
    task = Task(operation=operation, modulus=p)
    found = basis_of(task)
    highest = len(frequencies(found.order)) if found.direction else 0
    keys = list(range(1, 1 + data.draw(st.integers(0, highest))))
    outputs = Drawn(p, rows, {"logits": p, "neurons": width})
    told = reading_bytes(p, readings, outputs.widths, len(keys), p * p // 3 + 1, rows)
    assert peak(task, outputs, readings, keys) <= told


@pytest.mark.parametrize(
    ("p", "width", "rows"), [(13, 1, 16), (59, 32, 2048), (59, 512, 1024), (97, 300, 500)]
)
def test_no_readout_takes_more_than_it_says(p: int, width: int, rows: int) -> None:
    """An upper bound, and not four times what it takes where that is more than a megabyte."""
    probe = Probe(Task(modulus=p), None, Drawn(p, rows, {"neurons": width}))
    np.linalg.solve(np.eye(2), np.eye(2))
    tracemalloc.start()
    try:
        assert accuracy(probe, "neurons") is not None
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken <= readout_bytes(p, width, rows) < 4 * taken + 2 * 2**20


def test_without_held_rows_it_does_not_grow_with_the_cube() -> None:
    """Twice the modulus is four times the memory at most, where the logits are eight times."""
    told = [
        reading_bytes(p, EVERYTHING, {"logits": p, "neurons": 512}, 5, rows=1024)
        for p in (127, 254, 508)
    ]
    assert told[2] < 4 * told[1] < 16 * told[0]
    assert told[2] < 4 * 508**3 / 3


@pytest.mark.parametrize("p", [113, 251])
def test_the_bound_is_not_far_above(p: int) -> None:
    """At most four times: what is refused for lack of memory would indeed have come near it."""
    outputs = Drawn(p, 1024, {"logits": p, "neurons": 128})
    taken = peak(Task(operation="add", modulus=p), outputs, EVERYTHING, [1, 2, 3])
    told = reading_bytes(p, EVERYTHING, outputs.widths, 3, rows=1024)
    assert taken <= told <= 4 * taken
