"""Models with published values, imported by the command line and asked by HTTP alone.

Zhong et al. 2023: four models that their authors trained and published (shared/reference/README).
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from grokprobe.settings import Settings
from tests.served import environment, serving

PIZZA = Path(__file__).parents[3] / "shared" / "reference" / "pizza"

# attention rate; accuracy over all pairs, distance irrelevance, gradient symmetricity, circularity,
# sqrt(weight_norm); key frequencies by the default rule.
PUBLISHED = {
    "p99zdpze5l": (0.0, (1.0, 0.171736, 0.993665, 0.997818, 22.853816), [3, 15, 17]),
    "l8k1hzciux": (1.0, (1.0, 0.848260, 0.333638, 0.998907, 24.813896), [13, 16, 21]),
    "2k4ohj6bhd": (
        0.8041592198855598,
        (1.0, 0.720123, 0.781316, 0.734217, 25.062986),
        [5, 10, 12, 23],
    ),
    "f5dh675z97": (
        0.39027559322563554,
        (0.018098, 0.991913, 0.621666, 0.144591, 30.208093),
        [],
    ),
}
MEASURES = (
    "accuracy",
    "distance_irrelevance",
    "gradient_symmetricity",
    "circularity",
    "weight_l2",
)

pytestmark = pytest.mark.skipif(
    not PIZZA.is_dir(), reason=f"the reference models are not in {PIZZA}"
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service over the four models, each a run of one checkpoint."""
    folder = tmp_path_factory.mktemp("reference")
    settings = Settings(home=str(folder / "home"))
    for name, (rate, _, _) in PUBLISHED.items():
        told = ["--layout", "pizza", "--step", "20000", "--set", f"model.attention_rate={rate}"]
        path = str(PIZZA / f"model_{name}.pt")
        command = [sys.executable, "-m", "trainer", "import", path, *told, "--run", name]
        subprocess.run(command, env=environment(settings), check=True)
    with serving(settings, folder) as served:
        yield served.client


def get(client: httpx.Client, path: str) -> Any:
    """The JSON of a GET that must succeed."""
    return client.get(f"/v1/runs/{path}").raise_for_status().json()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_measures_are_the_published_ones(client: httpx.Client, name: str) -> None:
    """To five significant digits, beside a split that nobody knows."""
    measures = get(client, f"{name}/checkpoints/20000")["measures"]
    for measure, published in zip(MEASURES, PUBLISHED[name][1], strict=True):
        assert f"{measures[measure]:.5g}" == f"{published:.5g}", measure
    assert measures["weight_norm"] == pytest.approx(measures["weight_l2"] ** 2)
    assert measures["test_accuracy"] is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_key_frequencies_are_the_published_ones(client: httpx.Client, name: str) -> None:
    """By the default rule; none on the model that never learned."""
    assert get(client, name)["key_frequencies"] == PUBLISHED[name][2]


def test_attention_is_that_of_two_tokens(client: httpx.Client) -> None:
    """The pizza attends to both operands alike, the clock does not."""
    body = {"pairs": [[3, 5]], "include": ["attention"]}

    def attention(name: str) -> list[list[float]]:
        answer = client.post(f"/v1/runs/{name}/checkpoints/latest/predictions", json=body)
        found: list[list[float]] = answer.raise_for_status().json()["predictions"][0]["attention"]
        return found

    assert attention("p99zdpze5l") == [[1.0, 1.0]] * 4
    for row in attention("l8k1hzciux"):
        assert len(row) == 2
        assert sum(row) == pytest.approx(1)
