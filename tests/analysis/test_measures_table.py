"""The table of measures: what a row says of itself is true."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grokprobe.analysis.measures_table import MEASURES, key_measures, measures
from grokprobe.analysis.measuring.definitions import Need, Value
from grokprobe.analysis.measuring.requested import (
    BY_REQUEST,
    Family,
    families,
    is_of_weights,
    matrices_of,
    of_outputs,
    of_weights,
    readings_of,
)
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.ranks import WeightMatrices
from grokprobe.analysis.readings import OUTPUT_OF
from grokprobe.task import Task
from tests.support.whole import whole

KEYS = (2, 5)
ADD = Task(operation="add", modulus=11)


def probe_of(task: Task) -> Probe:
    """A network of noise, with every output; half of the pairs are train pairs."""
    random, p = np.random.default_rng(0), task.modulus
    pairs, residues = (random.normal(size=(n, p)).astype(np.float32) for n in (p * p, p))
    train = np.arange(p * p) % 2 == 0
    outputs = whole(logits=pairs, neurons=np.maximum(pairs, 0), residual=pairs + 1)
    return Probe(task, train, outputs, residues, residues[::-1], residues.T)


def null(probe: Probe, keys: tuple[int, ...] = KEYS) -> set[str]:
    """The measures that are None."""
    found: dict[str, Value] = {**measures(probe), **key_measures(probe, keys)}
    for name, measure in BY_REQUEST.items():
        if measure.of_outputs:
            found[name] = measure.of_outputs(probe)
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
        computed = [measure.of_outputs, measure.of_keys, measure.of_weights]
        of_the_trainer = {"weights", "gradients"} & set(measure.needs) and not measure.by_request
        assert sum(each is not None for each in computed) == (0 if of_the_trainer else 1)
        assert ("keys" in measure.needs) == (measure.of_keys is not None)
        if measure.by_request:
            assert measure.of_keys is None
            assert not measure.in_rows
            assert ("weights" in measure.needs) == (measure.of_weights is not None)


def test_what_is_by_request_is_not_published() -> None:
    """Publication computes none of it, and its family has all that need the same."""
    probe = probe_of(ADD)
    assert BY_REQUEST
    assert not BY_REQUEST.keys() & (measures(probe).keys() | key_measures(probe, KEYS).keys())
    for family in families(BY_REQUEST):
        names = {name for name, m in BY_REQUEST.items() if {*m.needs} - {"split"} == {*family}}
        weights = WeightMatrices({"W": np.eye(3, 4, dtype=np.float32)})
        found = of_weights(family, weights) if is_of_weights(family) else of_outputs(family, probe)
        assert found.keys() == names


@pytest.mark.parametrize(
    ("family", "outputs"),
    [
        ((), {"logits"}),
        (("direction",), {"logits"}),
        (("residual",), set()),
        (("neurons", "frequencies"), {"neurons"}),
        (("embedding", "frequencies"), set()),
        (("weights",), set()),
        (("embedding", "neurons"), {"neurons"}),
    ],
)
def test_what_a_family_reads_of_all_pairs(family: Family, outputs: set[str]) -> None:
    """The logits unless parameters or neurons tell it, the neurons where it needs them."""
    assert {OUTPUT_OF[reading] for reading in readings_of(family)} == outputs
    assert matrices_of(family) == (("embedding", "embedding_b") if "embedding" in family else ())


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
    [[logits, residual]] = probe.outputs.blocks(["logits", "residual"])
    without = whole(logits=logits, residual=residual)
    assert null(replace(probe, outputs=without)) == needing("neurons")
    assert null(replace(probe, outputs=whole(logits=logits))) == needing("neurons", "residual")


def test_measures_by_request_are_not_stored() -> None:
    """Publication computes all others of the outputs, and none of them."""
    stored = {m.name for m in MEASURES if m.of_outputs and not m.by_request}
    assert measures(probe_of(ADD)).keys() == stored < {m.name for m in MEASURES}


def test_what_a_measure_needs_of_the_operation() -> None:
    """No direction of the answer; no frequencies either, so no keys; or no keys alone."""
    random, s5 = Task(operation="random", modulus=11), Task(operation="s5", modulus=120)
    assert null(probe_of(random)) == needing("direction")
    assert null(probe_of(s5), ()) == needing("frequencies", "direction", "keys")
    assert null(probe_of(ADD), ()) == needing("keys")
