"""Twenty questions about `quickstart`, answered by what tools say alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.assistants import Arguments, Call, ask, ask_over_http, facts
from tests.support.served import Quickstart

Q: Arguments = {"run": "quickstart"}
GENERALISED = Q | {"step": "generalised"}
CALLS: dict[str, Call] = {
    "runs": ("runs", {"operation": "add"}),
    "run": ("run", Q),
    "emergence": ("emergence", Q),
    "first": ("measures", Q | {"step": "first"}),
    "norm": ("measures", Q | {"names": ["weight_norm", "gini_embedding"]}),
    "compare": ("compare", {"a": "quickstart/memorised", "b": "quickstart@generalised"}),
    "pairs": ("predict", GENERALISED | {"pairs": [[3, 5], [58, 1]]}),
    "early": ("predict", Q | {"step": "memorised", "pairs": [[3, 5], [20, 50], [7, 7]]}),
    "spectrum": ("spectrum", Q | {"null": 50}),
}
API = "/v1/runs/quickstart"


def spectrum(api: Callable[[str], Any]) -> Any:
    """Of the last checkpoint's embedding."""
    return api(f"{API}/checkpoints/latest/spectrum")["spectrum"]


def strongest(api: Callable[[str], Any]) -> Any:
    """The frequency that carries most of the embedding."""
    return max(spectrum(api), key=lambda row: row["share"])["frequency"]


def changed(api: Callable[[str], Any]) -> list[str]:
    """The weights, the one that moved furthest for its size first."""
    rows = api("/v1/compare?a=quickstart/memorised&b=quickstart/generalised")["weights"]
    moved = {w["name"]: w["distance"] / (w["norm_a"] + w["norm_b"]) for w in rows}
    return sorted(moved, key=lambda name: -moved[name])


def lost_test_pairs(api: Callable[[str], Any]) -> Any:
    """How many pairs `generalised` has right that `memorised` had not."""
    parts = api("/v1/compare?a=quickstart/memorised&b=quickstart/generalised")["parts"]
    return next(p["wrong_to_right"] for p in parts if p["split_a"] == "test")


# A question, the answer from the tools' outputs, and the API's own.
QUESTIONS: list[tuple[str, Callable[[Arguments], Any], Callable[[Callable[[str], Any]], Any]]] = [
    ("How many runs of addition are there?",
     lambda a: a["runs"]["count"], lambda api: len(api("/v1/runs?operation=add")["runs"])),
    ("How are the pairs split?",
     lambda a: [a["run"]["task"][part] for part in ("train_pairs", "test_pairs")],
     lambda api: [api(f"{API}/split")["train"].count(part) for part in (True, False)]),
    ("When did it memorise?",
     lambda a: a["emergence"]["memorised"]["step"], lambda api: api(API)["memorised_step"]),
    ("When did it generalise?",
     lambda a: a["run"]["generalised_step"], lambda api: api(API)["generalised_step"]),
    ("How many steps later is that?",
     lambda a: a["emergence"]["steps_between"],
     lambda api: api(API)["generalised_step"] - api(API)["memorised_step"]),
    ("Between which checkpoints did it generalise?",
     lambda a: a["emergence"]["generalised"]["previous_step"],
     lambda api: api(f"{API}/emergence")["generalised"]["previous_step"]),
    ("When was test accuracy half-way?",
     lambda a: next(s["midpoint"][0] for s in a["emergence"]["series"]
                    if s["series"] == "test_accuracy"),
     lambda api: api(f"{API}/emergence")["series"]["test_accuracy"]["midpoint"]["step"]),
    ("How far behind test accuracy does the key share begin?",
     lambda a: next(s["onset"] for s in a["emergence"]["lags"] if s["series"] == "key_share"),
     lambda api: api(f"{API}/emergence")["lags"]["key_share"]["onset"]["steps"]),
    ("What are the key frequencies?",
     lambda a: a["run"]["key_frequencies"], lambda api: api(API)["key_frequencies"]),
    ("What share of the embedding do they carry at the end?",
     lambda a: sum(sorted(row["share"] for row in a["spectrum"]["spectrum"] if row["key"])),
     lambda api: sum(sorted(row["share"] for row in spectrum(api) if row["key"]))),
    ("What is the test accuracy of the initial weights?",
     lambda a: next(m["value"] for m in a["first"]["measures"] if m["measure"] == "test_accuracy"),
     lambda api: api(f"{API}/checkpoints/first")["measures"]["test_accuracy"]),
    ("What is the weight norm at the end?",
     lambda a: a["norm"]["measures"][0]["value"],
     lambda api: api(f"{API}/checkpoints/latest")["measures"]["weight_norm"]),
    ("What does it answer to 3 + 5 once it generalises?",
     lambda a: a["pairs"]["predictions"][0]["predicted"],
     lambda api: (3 + 5) % api(API)["task"]["modulus"]),
    ("Was that pair trained on?",
     lambda a: a["pairs"]["predictions"][0]["split"] == "train",
     lambda api: api(f"{API}/split")["train"][3 * api(API)["task"]["modulus"] + 5]),
    ("Which weights changed most between memorising and generalising?",
     lambda a: [w["name"] for w in a["compare"]["weights"]][:3], lambda api: changed(api)[:3]),
    ("And which least?",
     lambda a: a["compare"]["weights_in_order"][-1], lambda api: changed(api)[-1]),
    ("How many of three pairs has it right when it has memorised?",
     lambda a: a["early"]["correct"],
     lambda api: sum(
         api(f"{API}/checkpoints/memorised/predictions?a={a}&b={b}")["predictions"][0]["correct"]
         for a, b in ((3, 5), (20, 50), (7, 7)))),
    ("Which frequency carries most of the embedding at the end?",
     lambda a: a["spectrum"]["spectrum"][0]["frequency"], strongest),
    ("Is that more than chance?",
     lambda a: a["spectrum"]["null"]["p_value"],
     lambda api: api(f"{API}/checkpoints/latest/spectrum?null=50")["null"]["p_value"]),
    ("How many test pairs became right between memorising and generalising?",
     lambda a: next(p["wrong_to_right"] for p in a["compare"]["parts"] if p["split_a"] == "test"),
     lost_test_pairs),
]  # fmt: skip


@pytest.mark.parametrize("ask", [ask, ask_over_http])
def test_twenty_questions(
    quickstart: Quickstart, tmp_path: Path, ask: Callable[..., list[Any]]
) -> None:
    """Each is answered by outputs of tools alone, with the API's number, by either transport."""
    url, api_client = quickstart.served.url, quickstart.served.client
    found = ask(url, tmp_path, *CALLS.values())
    answers = {name: facts(one) for name, one in zip(CALLS, found, strict=True)}

    def api(path: str) -> Any:
        return api_client.get(path).raise_for_status().json()

    assert len(QUESTIONS) == 20
    told_and_true = [(q, from_tools(answers), truth(api)) for q, from_tools, truth in QUESTIONS]
    assert [row for row in told_and_true if row[1] != row[2]] == []
    digest = api(f"{API}/card")["digests"]["card"]
    assert {answers[name]["cite"]["digest"] for name in ("run", "emergence")} == {
        f"sha256:{digest}"
    }
    for name in ("first", "norm", "pairs", "spectrum"):
        cite = answers[name]["cite"]
        about = api(f"{API}/checkpoints/{answers[name]['step']}")
        assert cite == {n: about[n] for n in ("run", "step", "created_at")} | {
            "sha256": about["model"]["sha256"]
        }
    assert all(a["more"].startswith(f"{url}/v1/") for a in answers.values())
    assert all(api_client.get(a["more"]).status_code == 200 for a in answers.values())
