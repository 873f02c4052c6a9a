"""Known answers of networks whose operands have a table each: circles that were planted there."""

from collections.abc import Iterator
from math import pi, tau
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from grokprobe.analysis.fourier import Array
from tests.support.foreign import SMALL, State, lens, save, small
from tests.support.served import serving
from tests.support.trained import Trained, manifests, settings_at, tiny_config
from trainer.importing.layout import Layout, load_layout
from trainer.importing.weight_files import import_files
from trainer.reporting.progress import JsonReporter

P = 7
PHASES = {"embedding": (2, 0.4), "embedding_b": (3, -1.1)}  # frequency, phase in radians
EMBEDDED = {
    "W_E": "{source='embed_a', axes='p d_model'}",
    "W_E_b": "{source='embed_b', axes='p d_model'}",
    "W_in": "{source='fc1.weight', axes='d_mlp d_model', slice=':, :8'}",
    "W_in_b": "{source='fc1.weight', axes='d_mlp d_model', slice=':, 8:'}",
}
Planted = dict[str, dict[str, Array]]


def circle(frequency: int, phase: float, width: int, radius: float) -> Array:
    """Rows (p, width) on one circle, in the plane of the first two axes, about no centre."""
    angles = tau * frequency * np.arange(P) / P + phase
    table = np.zeros((P, width))
    table[:, 0], table[:, 1] = radius * np.cos(angles), radius * np.sin(angles)
    return table


def transformer() -> tuple[State, Layout, dict[str, Array]]:
    """Tokens [a, b, =] of a vocabulary for each operand, all else noise."""
    state = small()
    d_model = SMALL.d_model
    tables = {of: circle(*at, d_model, 1.5) for of, at in PHASES.items()}
    first = torch.from_numpy(tables["embedding"])
    state["embed.W_E"] = torch.cat([first, torch.ones(1, d_model)]).float()
    state["embed_b.W_E"] = torch.from_numpy(tables["embedding_b"]).float()
    return state, lens("tensors.W_E_b={source='embed_b.W_E', axes='p d_model'}"), tables


def mlp() -> tuple[State, Layout, dict[str, Array]]:
    """Two tables joined end to end; each half of W_in turns its plane, and scales it apart."""
    noise = np.random.default_rng(0)
    tables = {of: circle(*at, 8, 1.5) for of, at in PHASES.items()}
    W_in, W_out = noise.normal(size=(16, 20)), noise.normal(size=(20, P))
    state = {"embed_a": tables["embedding"], "embed_b": tables["embedding_b"]}
    state |= {"fc1.weight": W_in.T.copy(), "fc2.weight": W_out.T.copy()}
    layout = load_layout("mlp", [f"tensors.{name}={line}" for name, line in EMBEDDED.items()], 5)
    for of, half in (("embedding", W_in[:8]), ("embedding_b", W_in[8:])):
        rows = [
            [sum(e * w for e, w in zip(row, W, strict=True)) for W in half.T] for row in tables[of]
        ]
        tables[f"effective_{of}"] = np.array(rows)
    tensors = {name: torch.from_numpy(array).float() for name, array in state.items()}
    return tensors, layout, tables


NETWORKS = {"transformer": transformer, "mlp": mlp}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Planted]]:
    """A service over both networks, and the tables that they were given."""
    folder = tmp_path_factory.mktemp("planted")
    settings, planted = settings_at(folder), {}
    for name, network in NETWORKS.items():
        state, layout, planted[name] = network()
        path = save(state, folder / f"{name}.safetensors")
        assert import_files(settings, [path], layout, name, JsonReporter()) == 0
        [manifest] = manifests(Trained(settings, name, tiny_config()))
        assert set(planted[name]) < set(manifest.model.outputs)
    with serving(settings, folder) as served:
        yield served.client, planted


def ask(client: httpx.Client, run: str, what: str) -> Any:
    """An answer about the run's only checkpoint."""
    answer = client.get(f"/v1/runs/{run}/checkpoints/5/{what}")
    assert answer.status_code == 200, answer.text
    return answer.json()


TABLES = [
    ("transformer", "embedding"),
    ("transformer", "embedding_b"),
    ("mlp", "embedding"),
    ("mlp", "embedding_b"),
    ("mlp", "effective_embedding"),
    ("mlp", "effective_embedding_b"),
]


@pytest.mark.parametrize(("run", "of"), TABLES)
def test_each_table_has_its_own_circle(
    planted: tuple[httpx.Client, Planted], run: str, of: str
) -> None:
    """Its frequency, all of its power there; its plane holds all of it, turned k times."""
    client, tables = planted
    frequency, _ = PHASES[of.removeprefix("effective_")]
    found = ask(client, run, f"spectrum?of={of}")
    shares = {row["frequency"]: row["share"] for row in found["spectrum"]}
    assert shares == pytest.approx({k: float(k == frequency) for k in (1, 2, 3)}, abs=1e-9)
    total = float((tables[run][of] ** 2).sum())
    assert found["total_power"] == pytest.approx(total, rel=1e-5)
    answer = ask(client, run, f"embedding?of={of}")
    assert (answer["of"], answer["frequency"]) == (of, frequency)
    assert answer["explained_share"] == pytest.approx(1)
    assert answer["circle"]["winding"] == frequency
    raw = ask(client, run, f"embedding?of={of}&projection=raw")["coordinates"]
    rows = [[value for name, value in row.items() if name != "residue"] for row in raw]
    np.testing.assert_allclose(rows, tables[run][of], atol=1e-5)


@pytest.mark.parametrize(("run", "of"), [case for case in TABLES if "effective" not in case[1]])
def test_a_circle_of_either_operand_is_perfect(
    planted: tuple[httpx.Client, Planted], run: str, of: str
) -> None:
    """Its radius is the planted one; r_squared is 1, and two components are no four."""
    client, _ = planted
    report = ask(client, run, f"embedding?of={of}")["circle"]
    assert report["r_squared"] == pytest.approx(1)
    assert report["radius"] == pytest.approx(1.5, rel=1e-5)
    assert report["axis_cosine"] == pytest.approx(0, abs=1e-5)
    assert ask(client, run, "measures")["measures"]["circularity_b"] is None


def test_phases_of_the_operands_are_apart(planted: tuple[httpx.Client, Planted]) -> None:
    """A plane starts at its own cosine direction, so the phases differ in the raw axes alone."""
    client, _ = planted
    for of, (frequency, phase) in PHASES.items():
        rows = ask(client, "mlp", f"embedding?of={of}&projection=raw&dimensions=2")["coordinates"]
        z = np.array([row["x"] + 1j * row["y"] for row in rows])
        turned = z * np.exp(-1j * tau * frequency * np.arange(P) / P)
        assert np.angle(turned.mean()) == pytest.approx(phase % tau - (phase % tau > pi) * tau)


@pytest.mark.parametrize(("run", "lacks"), [("transformer", "effective_embedding")])
def test_what_a_network_has_not_is_named(
    planted: tuple[httpx.Client, Planted], run: str, lacks: str
) -> None:
    """404, with the outputs that it has."""
    client, _ = planted
    for route in ("embedding", "spectrum"):
        answer = client.get(f"/v1/runs/{run}/checkpoints/5/{route}?of={lacks}")
        assert answer.status_code == 404
        assert lacks in answer.json()["detail"]
        assert "embedding_b" in answer.json()["detail"]
