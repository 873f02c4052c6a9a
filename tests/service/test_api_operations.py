"""Operations other than addition over the API: each in its own basis, or refused in clear words."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from grokprobe.analysis.irreps import irrep_spectrum
from tests.service.test_api import get
from tests.service.test_api_errors import check_problem
from tests.service.test_cards_of_runs import card, check_card, written
from tests.service.test_families_served import assert_waves_are_summed_up
from tests.support.assistants import ask, facts
from tests.support.served import serving
from tests.support.trained import settings_at, tiny_config
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter

OPERATIONS = {"s5": 120, "mul": 13, "sub": 13, "x2+y2": 13}


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service over a short run of each operation."""
    settings = settings_at(tmp_path_factory.mktemp("others"))
    for operation, modulus in OPERATIONS.items():
        task = {"operation": operation, "modulus": modulus}
        config = tiny_config(task=task, training={"steps": 2})
        assert start(settings, config, operation.replace("+", "-"), JsonReporter()) == 0
    with serving(settings, settings.home_path) as served:
        yield served.client


def last(operation: str) -> str:
    """The path of a run's last checkpoint."""
    return f"/v1/runs/{operation.replace('+', '-')}/checkpoints/latest"


def test_s5_is_read_by_irrep(others: httpx.Client) -> None:
    """Six rows, one an irrep, whose powers are those of the embedding; the null comes with it."""
    found = get(others, f"{last('s5')}/spectrum", null=20)
    raw = get(others, f"{last('s5')}/embedding", projection="raw")["coordinates"]
    matrix = np.array([[v for name, v in row.items() if name != "residue"] for row in raw])
    expected = irrep_spectrum(matrix)
    assert [row["irrep"] for row in found["spectrum"]] == list(expected.labels)
    assert [row["power"] for row in found["spectrum"]] == pytest.approx(expected.power)
    assert found["null"]["observed"] == pytest.approx(expected.gini_frequencies)
    assert (found["basis"]["group"], found["gini"], found["key_frequencies"]) == ("S_5", None, None)
    csv = others.get(f"{last('s5')}/spectrum", params={"format": "csv"}).text.splitlines()
    assert csv[0] == "irrep,dimension,power,share"


def test_comparisons_say_what_an_operation_lacks(others: httpx.Client) -> None:
    """Frequencies, or a rule for keys; what needs neither is there."""
    lacking = {
        "s5": {"planes": "S_5 has no frequencies", "keys": "no rule"},
        "mul": {},
        "sub": {},
        "x2-y2": {"keys": "no rule"},
    }
    for run, expected in lacking.items():
        found = get(others, "/v1/compare", a=f"{run}/first", b=f"{run}/latest")
        assert found["absent"].keys() == expected.keys(), run
        assert all(words in found["absent"][name] for name, words in expected.items())
        assert all(found[name] is None for name in expected)
        assert 0 < found["embedding"]["cka"] <= 1
        drift = get(others, f"/v1/runs/{run}/drift")
        names = {"overlap" if name == "planes" else name for name in expected}
        assert drift["absent"].keys() == names
        assert drift["drift"][-1]["cka"] == found["embedding"]["cka"]
        updates = get(others, f"/v1/runs/{run}/updates")
        keys = get(others, f"/v1/runs/{run}")["key_frequencies"]
        assert updates["absent"].keys() == (set() if keys else {"embedding_key_share"})
        assert all(
            len(r["embedding_power"]) == len(updates["frequencies"]) for r in updates["updates"]
        )
        assert get(others, f"/v1/runs/{run}/path")["explained_shares"][0] > 0
    answer = others.get("/v1/compare?a=mul/first&b=sub/first")
    words = ("b:", "the operation mul modulo 13", "the operation sub modulo 13", "one task")
    check_problem(answer, 400, *words)


def test_waves_in_the_order_of_the_group(others: httpx.Client) -> None:
    """A sum, a difference, or neither; multiplication by its 6 frequencies; s5 has no waves."""
    for run, direction in (("mul", "sum"), ("sub", "difference"), ("x2-y2", None)):
        rows = get(others, f"{last(run)}/neurons")["neurons"]
        measures = get(others, f"{last(run)}/measures")["measures"]
        assert_waves_are_summed_up(rows, measures, direction, frequencies=6)
        assert (measures["phase_misalignment"] is None) == (direction is None)
    measures = get(others, f"{last('s5')}/measures")["measures"]
    waves = ("phase_misalignment", "phase_resultant", "frequency_coverage")
    assert [measures[name] for name in waves] == [None] * 3


def test_s5_over_a_run(others: httpx.Client) -> None:
    """The stored spectra name irreps, and emergence answers with what has no key frequencies."""
    spectra = get(others, "/v1/runs/s5/spectra")
    assert spectra["frequencies"][0] == "4 1"
    assert all(len(row["values"]) == 6 for row in spectra["spectra"])
    assert get(others, "/v1/runs/s5/emergence")["keys"] is None
    measures = get(others, f"{last('s5')}/measures")["measures"]
    assert measures["gini_frequencies_embedding"] is not None
    assert measures["key_share"] is measures["circularity"] is measures["fve_mean"] is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("neurons", "S_5 has no frequencies"),
        ("embedding", "S_5 has no frequencies; choose pca or raw"),
        ("embedding?projection=pca&frequency=3", "S_5 has no frequencies"),
        ("measures?keys=3", "S_5 has no frequencies"),
        ("spectrum?of=logits", "cyclic group"),
        ("/v1/runs/s5/coordinates", "S_5 has no frequencies"),
        ("/v1/runs/s5/coordinates?frequency=1", "S_5 has no frequencies"),
        ("/v1/runs/s5/neurons", "S_5 has no frequencies"),
    ],
)
def test_s5_has_no_frequencies(others: httpx.Client, path: str, words: str) -> None:
    """What needs frequencies is refused, and says what there is instead."""
    answer = others.get(path if path.startswith("/") else f"{last('s5')}/{path}")
    assert (answer.status_code, words in answer.json()["detail"]) == (400, True)


def test_multiplication_leaves_zero_out(others: httpx.Client) -> None:
    """Frequencies are those of the group of order p - 1, up to Nyquist, and no measure fails."""
    found = get(others, f"{last('mul')}/measures", keys="1,6")
    missing = {name for name, value in found["measures"].items() if value is None}
    # a + b and a - b share their parity; operand b has no table of its own
    assert missing == {"distance_irrelevance", "circularity_b"}


def test_subtraction_has_difference_directions(others: httpx.Client) -> None:
    """Its measures are those of a - b: none is missing but that of a second table."""
    found = get(others, f"{last('sub')}/measures", keys="1,6")["measures"]
    assert [name for name, value in found.items() if value is None] == ["circularity_b"]


def test_no_known_basis(others: httpx.Client) -> None:
    """A polynomial has no rule for keys; frequencies given by hand have a share and no more."""
    found = get(others, f"{last('x2+y2')}/measures")
    assert (found["keys"], found["measures"]["key_share"]) == (None, None)
    given = get(others, f"{last('x2+y2')}/measures", keys="1,2")["measures"]
    assert given["restricted_loss"] is None
    assert 0 < given["key_share"] < 1
    spectrum = get(others, f"{last('x2+y2')}/spectrum")
    assert spectrum["basis"]["group"] == "no known basis"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_spectrum_in_natural_order(others: httpx.Client, operation: str) -> None:
    """The frequencies of the residues as they stand, whatever the operation's own basis is."""
    found = get(others, f"{last(operation)}/spectrum", basis="natural", null=20)
    p = OPERATIONS[operation]
    table = others.get(f"{last(operation)}/weights/W_E")
    rows = np.load(io.BytesIO(table.content))[:p].astype(float)  # without the equals sign's
    expected = 2 * np.sum(np.abs(np.fft.rfft(rows, axis=0, norm="ortho")) ** 2, axis=1)[1:]
    if p % 2 == 0:
        expected[-1] /= 2  # Nyquist stands once among its own mirror images
    assert [row["power"] for row in found["spectrum"]] == pytest.approx(expected.tolist(), rel=1e-4)
    assert (found["basis"]["reindex"], found["basis"]["order"]) == ("natural", p)
    own = get(others, f"{last(operation)}/spectrum", null=20)
    same = operation in ("sub", "x2+y2")
    assert (found == own) is same
    assert (found["key_frequencies"] is None) is (operation != "sub")


def test_s5_has_no_frequencies_to_take_out(others: httpx.Client) -> None:
    """Which is said; its neurons can be."""
    refused = {"of": "logits", "remove": [1]}
    answer = others.post(f"{last('s5')}/interventions", json=refused)
    check_problem(answer, 400, "S_5 has no frequencies", "neurons and heads")
    body = {"of": "neurons", "remove": [1], "controls": 2}
    found = others.post(f"{last('s5')}/interventions", json=body).json()
    assert (found["basis"], found["parts"][0]["pairs"]) == (None, 120**2)


def test_a_card_of_s5_names_no_frequency(others: httpx.Client) -> None:
    """Its task is the group's, of 120 elements; it has no keys, and none are invented."""
    check_card(others, "s5")
    found = card(others, "s5")
    assert (found["task"]["operation"], found["task"]["modulus"]) == ("s5", 120)
    assert found["keys"] is None
    assert "## Key frequencies\n\n- it: not known" in written(others, "s5")


def test_an_assistant_reads_s5_by_irrep(others: httpx.Client, tmp_path: Path) -> None:
    """By the tool that tells frequencies of the others, the strongest first."""
    [result] = ask(str(others.base_url), tmp_path, ("spectrum", {"run": "s5", "null": 20}))
    found, api = facts(result), get(others, f"{last('s5')}/spectrum", null=20)
    rows = {row["irrep"]: row["share"] for row in found["spectrum"]}
    assert rows == {row["irrep"]: row["share"] for row in api["spectrum"]}
    assert list(rows.values()) == sorted(rows.values(), reverse=True)
    assert found["null"]["p_value"] == api["null"]["p_value"]
