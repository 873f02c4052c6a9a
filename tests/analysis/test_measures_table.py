"""The table of measures: what a row says of itself is true."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grokprobe.analysis.measures_table import MEASURES, Need, key_measures, measures
from grokprobe.analysis.probe import Probe
from grokprobe.task import Task
from tests.support.whole import whole

KEYS = (2, 5)
ADD = Task(operation="add", modulus=11)


def probe_of(task: Task) -> Probe:
    """A network of noise, with every output; half of the pairs are train pairs."""
    random, p = np.random.default_rng(0), task.modulus
    pairs, residues = (random.normal(size=(n, p)).astype(np.float32) for n in (p * p, p))
    train = np.arange(p * p) % 2 == 0
    outputs = whole(logits=pairs, neurons=np.maximum(pairs, 0))
    return Probe(task, train, outputs, residues, residues[::-1], residues.T)


def null(probe: Probe, keys: tuple[int, ...] = KEYS) -> set[str]:
    """The measures that are None."""
    found = measures(probe) | key_measures(probe, keys)
    return {name for name, value in found.items() if value is None}


def needing(*needs: Need) -> set[str]:
    """The measures that need one of these, those of the trainer left out."""
    return {m.name for m in MEASURES if set(needs) & set(m.needs) and (m.of_outputs or m.of_keys)}


def test_each_measure_has_a_row_of_its_own() -> None:
    """A name, a meaning on one line; a function, or what the trainer has."""
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)
    for measure in MEASURES:
        assert measure.meaning
        assert "\n" not in measure.meaning
        trainers = {"weights", "gradients"} & set(measure.needs)
        computed = [measure.of_outputs, measure.of_keys, trainers or None]
        assert sum(each is not None for each in computed) == 1
        assert ("keys" in measure.needs) == (measure.of_keys is not None)


def test_a_checkpoint_with_everything_has_every_measure() -> None:
    """Nothing is None for lack of something that no row names."""
    assert null(probe_of(ADD)) == set()


@pytest.mark.parametrize(
    ("need", "field"),
    [("split", "train")]
    + [(name, name) for name in ("embedding", "embedding_b", "neuron_logit_map")],
)
def test_what_a_measure_needs_is_what_it_lacks(need: Need, field: str) -> None:
    """Without it the measures that name it are None, and no others."""
    without: dict[str, Any] = {field: None}
    assert null(replace(probe_of(ADD), **without)) == needing(need)


def test_measures_of_neurons_need_the_neurons() -> None:
    """Where the model does not offer them, theirs are None, and no others."""
    probe = probe_of(ADD)
    [[logits]] = probe.outputs.blocks(["logits"])
    assert null(replace(probe, outputs=whole(logits=logits))) == needing("neurons")


def test_what_a_measure_needs_of_the_operation() -> None:
    """No direction of the answer; no frequencies either, so no keys; or no keys alone."""
    random, s5 = Task(operation="random", modulus=11), Task(operation="s5", modulus=120)
    assert null(probe_of(random)) == needing("direction")
    assert null(probe_of(s5), ()) == needing("frequencies", "direction", "keys")
    assert null(probe_of(ADD), ()) == needing("keys")
