"""Gradient symmetricity against its definition; which checkpoints have a learning coefficient."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from rich.console import Console

from tests.support import reference
from tests.support.trained import Trained, manifests
from tests.trainer.test_model import SMALL
from trainer.config.schema import TransformerSection, load_config, preset
from trainer.learning.data import draw
from trainer.learning.learner import Learner
from trainer.measuring.gradients import Gradients, gradient_measures, gradient_symmetricity, triples
from trainer.models import make_network
from trainer.models.transformer import Transformer
from trainer.reporting.progress import TextReporter

TASKS = Path("/proc/self/task")  # a folder for each thread, those of OpenMP included


def slow_cosines(model: Transformer, heads: int) -> list[float]:
    """Of each triple, one after another, by the textbook network: its tokens are three rows."""
    W = {name: weight.detach() for name, weight in model.named_parameters()}
    every = list(product(range(model.modulus), repeat=3))
    random.Random(42).shuffle(every)
    cosines = []
    for a, b, c in every[:100]:
        e_a, e_b = W["W_E"][a].clone().requires_grad_(), W["W_E"][b].clone().requires_grad_()
        tokens = W | {"W_E": torch.stack([e_a, e_b, W["W_E"][-1]])}
        logits = reference.transformer(tokens, torch.tensor([[0, 1]]), heads)["logits"]
        u, v = torch.autograd.grad(logits[0, c], [e_a, e_b])
        cosines.append((u @ v / (u.norm() * v.norm())).item())
    return cosines


@pytest.mark.parametrize("modulus", [3, 5, 13, 59])
def test_symmetricity_is_its_definition(modulus: int) -> None:
    """One batched backward pass gives the mean over triples of the textbook's cosines."""
    model = Transformer(SMALL, modulus, seed=0).double()
    cosines = slow_cosines(model, SMALL.heads)
    assert len(cosines) == min(100, modulus**3)
    found = gradient_symmetricity(model)
    assert found is not None
    assert found[0] == pytest.approx(np.mean(cosines), rel=1e-12)
    assert found[1] == pytest.approx(np.std(cosines, ddof=1) / len(cosines) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("modulus", [3, 7, 59, 113])
def test_triples_are_the_first_of_the_whole_shuffle(modulus: int) -> None:
    """The published figures rest on this very order."""
    every = list(product(range(modulus), repeat=3))
    random.Random(42).shuffle(every)
    np.testing.assert_array_equal(triples(modulus), every[:100])


def test_where_it_is_one_by_construction_it_says_nothing() -> None:
    """Constant attention read at the equals sign adds the embeddings; read at b it does not."""
    adding = TransformerSection(tokens="a b =", attention_rate=0.0)
    telling = TransformerSection(tokens="a b", attention_rate=0.0)
    assert gradient_symmetricity(Transformer(adding, 13, seed=0).double()) is None
    found = gradient_symmetricity(Transformer(telling, 13, seed=0).double())
    assert found is not None
    assert 0 < found[0] < 1


def test_a_network_that_cannot_tell_a_from_b_has_one() -> None:
    """Without keys both operands get the same attention, so their gradients are the same."""
    model = Transformer(TransformerSection(), 59, seed=0).double()
    torch.nn.init.zeros_(model.W_K)
    assert gradient_symmetricity(model) == pytest.approx((1.0, 0.0), abs=1e-12)


def test_a_zero_gradient_has_no_direction() -> None:
    """Without values nothing reaches the logits: null, never not-a-number."""
    model = Transformer(SMALL, 13, seed=0).double()
    torch.nn.init.zeros_(model.W_V)
    assert gradient_measures(model) == {
        "gradient_symmetricity": None,
        "gradient_symmetricity_standard_error": None,
    }


def test_measuring_leaves_the_network_as_it_was() -> None:
    """No gradient is left on the weights, and asking again gives the same bits."""
    model = Transformer(SMALL, 13, seed=0)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert gradient_measures(model) == gradient_measures(model)
    for name, weight in model.named_parameters():
        assert weight.grad is None
        assert torch.equal(weight, before[name])


def test_every_checkpoint_has_its_symmetricity(trained: Trained) -> None:
    """That of the published weights: those of step 0 are the seed's."""
    config = trained.config
    initial = make_network(config.model, config.task.modulus, config.training.seed).double()
    found = manifests(trained)
    assert gradient_measures(initial).items() <= found[0].measures.items()
    values = [manifest.measures["gradient_symmetricity"] for manifest in found]
    assert len(set(values)) == len(values)


def test_the_learning_coefficient_comes_where_it_is_asked_for(trained: Trained) -> None:
    """At published multiples of `every` = 150 and at the last step, from the checkpoint's loss."""
    found = {manifest.step: manifest for manifest in manifests(trained)}
    sampled = {step: m.local_learning_coefficient for step, m in found.items()}
    assert [step for step, result in sampled.items() if result] == [0, 300, 400]
    for step in (0, 300, 400):
        result = sampled[step]
        assert result is not None
        traces = np.array(result.traces)
        assert traces.shape == (4, 100)
        assert traces[:, 0] == pytest.approx(found[step].measures["train_loss"], rel=1e-5)
        assert (result.estimate is None) == (result.refused is not None)


def test_the_service_shows_it_whole(client: httpx.Client) -> None:
    """Estimate, error, reason, hyperparameters and traces; null where it was not asked for."""
    base = "/v1/runs/tiny/checkpoints"
    shown = client.get(f"{base}/400").json()["local_learning_coefficient"]
    assert shown.keys() == {"estimate", "standard_error", "refused", "hyperparameters", "traces"}
    assert len(shown["traces"]) == shown["hyperparameters"]["chains"] == 4
    assert client.get(f"{base}/20").json()["local_learning_coefficient"] is None


@pytest.mark.skipif(not TASKS.exists() or torch.get_num_threads() == 1, reason="nothing to count")
def test_the_publisher_has_no_threads_beside_those_that_train() -> None:
    """OpenMP gives each thread that computes a team of its own, which is one too many here."""
    config = load_config(preset("quickstart"))
    grid, cpu = draw(config.task), torch.device("cpu")
    snapshot = Learner([config], [grid], cpu).snapshot(0)
    gradients = Gradients(config, grid, cpu, TextReporter(Console(quiet=True)))
    with ThreadPoolExecutor(1) as publisher:
        publisher.submit(int).result()
        before = len(list(TASKS.iterdir()))
        publisher.submit(gradients.measures, snapshot).result()
        assert len(list(TASKS.iterdir())) <= before
        assert publisher.submit(torch.get_num_threads).result() == torch.get_num_threads()
