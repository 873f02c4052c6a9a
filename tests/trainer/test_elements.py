"""Elements in the order of others, composed from their side: published in ours, or warned about."""

import asyncio
import json
import random
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from grokprobe.analysis.irreps import irreps
from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.task import S5, Residues, Task, answers, pairs
from tests.support.foreign import lens
from tests.support.served import serving
from tests.support.trained import Trained, archive, manifests, tiny_config
from tests.trainer.test_families import every_family, network
from tests.trainer.test_import_families import foreign, layout_of
from trainer.__main__ import main
from trainer.config.schema import ModelSection
from trainer.importing.chance import at_chance
from trainer.importing.elements import ORDERS, Composition, numbers_of
from trainer.importing.layout import LayoutTask
from trainer.importing.mapping import read_network
from trainer.importing.weight_files import model_of
from trainer.learning.data import make_grid
from trainer.models.export import open_session

Word = tuple[int, ...]
SIDES: tuple[Composition, ...] = ("left", "right")
GRID = make_grid(Task(operation="s5", modulus=120), None)


def composed(a: Word, b: Word, side: str) -> Word:
    """The product by definition: a(b(i)) from the left, b(a(i)) from the right."""
    return tuple(a[b[i]] for i in range(5)) if side == "left" else tuple(b[a[i]] for i in range(5))


def table_of(words: list[Word], side: str) -> Residues:
    """The products in an order of elements, pair by pair, (120, 120) of their numbers."""
    number = {word: n for n, word in enumerate(words)}
    return np.array([[number[composed(a, b, side)] for b in words] for a in words])


def assert_ours(numbers: Residues, words: list[Word], side: str) -> None:
    """The numbers turn our table into theirs: those of ab are their product of a's and b's."""
    a, b = pairs(120).T
    assert sorted(numbers) == list(range(120))
    assert (numbers[GRID.answers] == table_of(words, side)[numbers[a], numbers[b]]).all()


# -- orders --------------------------------------------------------------------------------------


def test_sympy_s_order_is_sympy_s() -> None:
    """That of its elements, of what it generates and of its ranks; its product is the right."""
    named_groups = pytest.importorskip("sympy.combinatorics.named_groups")
    group = named_groups.SymmetricGroup(5)
    generated = list(group.generate())
    words = [tuple(element.array_form) for element in generated]
    assert words == ORDERS["sympy"] == [tuple(e.array_form) for e in group.elements]
    assert words == [tuple(group.coset_unrank(i, af=True)) for i in range(120)]
    product = tuple((generated[3] * generated[50]).array_form)
    assert (
        product == composed(words[3], words[50], "right") != composed(words[3], words[50], "left")
    )


def test_even_permutations_may_come_first() -> None:
    """The determinants of their matrices: 60 times 1, then 60 times -1, lexicographic in each."""
    words = ORDERS["even-first"]
    signs = [round(float(np.linalg.det(np.eye(5)[list(word)]))) for word in words]
    assert signs == [1] * 60 + [-1] * 60
    assert words[:60] == sorted(words[:60])
    assert words[60:] == sorted(words[60:])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("side", SIDES)
def test_every_order_and_side_becomes_ours(order: str, side: Composition) -> None:
    """Checked against the table by definition, all 14,400 products."""
    assert_ours(numbers_of("s5", 120, order, side), ORDERS[order], side)
    as_it_is = (order, side) == ("lexicographic", "left")
    assert (numbers_of("s5", 120, order, side).tolist() == list(range(120))) == as_it_is


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("suffix", [".json", ".npy"])
def test_a_file_may_list_the_elements(
    tmp_path: Path, suffix: str, first: int, side: Composition
) -> None:
    """Permutations in any order, counted from 0 or from 1; our own numbers do as well."""
    words = [tuple(word) for word in np.random.default_rng(3).permutation(np.array(S5)).tolist()]
    path, ranks = tmp_path / f"words{suffix}", [S5.index(word) for word in words]
    for table in ((np.array(words) + first).tolist(), ranks):
        if suffix == ".json":
            path.write_text(json.dumps(table))
        else:
            np.save(path, np.array(table))
        assert_ours(numbers_of("s5", 120, str(path), side), words, side)


BAD: dict[str, tuple[Any, str]] = {
    "twice": ([*map(list, S5[:119]), list(S5[0])], "120 elements once; 119 is missing"),
    "no word": ([*map(list, S5[:119]), [0, 0, 1, 2, 3]], "[0, 0, 1, 2, 3] is no permutation"),
    "from 2": ((np.array(S5) + 2).tolist(), "is no permutation of 0..4, nor of 1..5"),
    "too few": ([list(word) for word in S5[:60]], "must list 120 residues or 120 permutations"),
    "of three": ([[0, 1, 2]] * 120, "120 permutations of 5, got int64 (120, 3)"),
    "no numbers": (["01234"] * 120, "120 residues or 120 permutations"),
    "fractions": ([0.5] * 120, "got float64 (120,)"),
    "negative": ([-1, *range(119)], "120 elements once; 119 is missing"),
    "ragged": ([[0, 1], [2]], "is no whole table, of .npy or of .json"),
    "no list": ({"a": 1}, "must list 120 residues"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_list_that_is_none_is_named(tmp_path: Path, case: str) -> None:
    """One line with the file and what is wrong in it."""
    table, words = BAD[case]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(table))
    with pytest.raises(InvalidInput) as caught:
        numbers_of("s5", 120, str(path), "left")
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["task.order=sympi"], "task.order: is not a known order; did you mean sympy?; or a .json"),
        (["task.order=elements.txt"], "or a .json or .npy file that lists it"),
        (
            ["task.order=sympy"],
            "task.order: sympy is one of permutations; of add list the residues",
        ),
        (["task.composition=right"], "task.composition: is of s5; add composes no permutations"),
        (["task.operation=s5", "task.composition=up"], "unknown composition, known: left, right"),
    ],
)
def test_a_mistake_in_the_layout_is_named(assignments: list[str], words: str) -> None:
    """The field, and what there is instead."""
    with pytest.raises(InvalidInput) as caught:
        lens(*assignments)
    assert words in str(caught.value)


def test_a_file_that_is_missing_is_named() -> None:
    """Whatever the operation."""
    with pytest.raises(InvalidInput, match=r"none\.json: cannot be read"):
        lens("task.order=none.json").task.numbers(7)


# -- networks ------------------------------------------------------------------------------------


@every_family
def test_a_network_of_residues_in_another_order(section: ModelSection, tmp_path: Path) -> None:
    """Its logits are those of the residues' numbers in the file, by row and by column."""
    listed = np.random.default_rng(1).permutation(13)
    (tmp_path / "residues.json").write_text(json.dumps(listed.tolist()))
    model = network(section, dtype=torch.float32)
    state, tensors = foreign(section, model)
    task = LayoutTask(order=str(tmp_path / "residues.json"))
    found = model_of(read_network("m.pt", state, replace(layout_of(section, tensors), task=task)))
    numbers = torch.from_numpy(np.argsort(listed))
    everything = torch.from_numpy(pairs(13))
    expected = model(numbers[everything])
    torch.testing.assert_close(found(everything).logits, expected.logits[:, numbers])
    torch.testing.assert_close(found(everything).embedding, expected.embedding[numbers])


def solved(numbers: Residues) -> dict[str, torch.Tensor]:
    """An MLP on one-hot inputs that composes permutations exactly, in the numbering of others.

    Its logit of c is the trace of rho(a) rho(b) rho(c)^T, largest at c = ab. A product of two
    entries is two squares: 4xy = (x + y)^2 - (x - y)^2.
    """
    rho = irreps()[1].matrices
    i, j, k = np.unravel_index(np.arange(64), (4, 4, 4))
    of_a, of_b, of_c = rho[:, i, j], rho[:, j, k], rho[:, i, k]
    ranks = np.argsort(numbers)
    W_in = np.concatenate([of_a, of_a], axis=1)[ranks]
    W_in_b = np.concatenate([of_b, -of_b], axis=1)[ranks]
    W_out = np.concatenate([of_c, -of_c], axis=1)[ranks] / 4
    joined = np.concatenate([W_in, W_in_b]).T
    found = {"fc1.weight": joined, "fc2.weight": W_out}
    return {name: torch.tensor(w, dtype=torch.float32) for name, w in found.items()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HOME of one's own for the commands of a test."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GROKPROBE_LOG_FORMAT", "json")
    return tmp_path / "home"


def command(*files: Path, run: str, assignments: tuple[str, ...] = ()) -> list[str]:
    """The command line that imports files of such networks, their steps in their names."""
    told = ("task.operation=s5", r"step.pattern='_(\d+)'", *assignments)
    sets = [word for one in told for word in ("--set", one)]
    return ["import", *map(str, files), "--layout", "mlp", "--run", run, *sets]


def test_published_permutations_in_sympy_s_order(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands: by chance, and the warning says by which reading not. So read: all right.

    Its split is in its numbers, the published one in ours, and run.json says which are which.
    """
    theirs = numbers_of("s5", 120, "sympy", "right")
    path = tmp_path / "model_9.pt"
    torch.save(solved(theirs), path)
    assert main(command(path, run="wrong")) == 0
    [warning] = capsys.readouterr().err.splitlines()
    assert warning == (
        "warning: the last checkpoint answers 0.0111 of all pairs, and chance is about 0.0083: "
        "by order=sympy and composition=right it answers 1.0000"
    )
    train = [[3, 50], [119, 0], [7, 7]]
    (tmp_path / "train.json").write_text(json.dumps(train))
    read = ("task.order=sympy", "task.composition=right", "split.kind=pairs")
    file = f"split.file='{tmp_path / 'train.json'}'"
    assert main(command(path, run="right", assignments=(*read, file))) == 0
    assert capsys.readouterr().err == ""
    run = Trained(Settings(home=str(home)), "right", tiny_config())
    published = asyncio.run(archive(run.settings).run("right"))
    assert published.config["elements"] == theirs.tolist()
    mask = asyncio.run(archive(run.settings).train_mask("right"))
    found = [theirs[pair].tolist() for pair in pairs(120)[mask]]
    assert sorted(found) == sorted(train)
    [manifest] = manifests(run)
    assert (manifest.measures["accuracy"], manifest.measures["train_accuracy"]) == (1, 1)
    with serving(run.settings, tmp_path) as served:
        path_of = "/v1/runs/right/checkpoints/latest"
        a, b = S5[17], S5[101]
        answer = served.client.get(f"{path_of}/predictions", params={"a": 17, "b": 101})
        [row] = answer.json()["predictions"]
        assert row["predicted"] == row["answer"] == S5.index(composed(a, b, "left"))
        spectrum = served.client.get(f"{path_of}/spectrum").json()["spectrum"]
        assert spectrum[0]["share"] == pytest.approx(1)  # the irrep 4 1, whatever the numbers


def test_the_last_checkpoint_alone_is_judged(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An early one may know nothing; where the last one does not, the advice is said."""
    noise = {n: torch.randn(w.shape) for n, w in solved(np.arange(120)).items()}
    torch.manual_seed(0)
    files = [tmp_path / f"model_{step}.pt" for step in (0, 5, 9)]
    for file, state in zip(files, [noise, solved(np.arange(120)), noise], strict=True):
        torch.save(state, file)
    assert main(command(*files[:2], run="learned")) == 0
    assert capsys.readouterr().err == ""
    assert main(command(*files, run="unlearned")) == 0
    [warning] = capsys.readouterr().err.splitlines()
    assert "of all pairs, and chance is about 0.0083: try another operation" in warning
    run = Trained(Settings(home=str(home)), "learned", tiny_config())
    assert "elements" not in asyncio.run(archive(run.settings).run("learned")).config


def test_an_onnx_file_in_another_order(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every output that has a row or a column an element comes in our order."""
    assert home.name
    for name, numbers in (
        ("ours", np.arange(120)),
        ("theirs", numbers_of("s5", 120, "sympy", "right")),
    ):
        torch.save(solved(numbers), tmp_path / f"{name}_3.pt")
        order = () if name == "ours" else ("task.order=sympy", "task.composition=right")
        assert main(command(tmp_path / f"{name}_3.pt", run=name, assignments=order)) == 0
    [exported] = home.rglob("runs/ours/**/model.onnx")
    proto = onnx.load_model_from_string(exported.read_bytes())
    ranks = np.argsort(numbers)
    for tensor in proto.graph.initializer:  # the same file as others number its elements
        weight = onnx.numpy_helper.to_array(tensor)
        axis = weight.shape.index(120)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.take(weight, ranks, axis), tensor.name))
    onnx.save(proto, tmp_path / "theirs.onnx")
    given = ["import-onnx", str(tmp_path / "theirs.onnx"), "--operation", "s5", "--modulus", "120"]
    capsys.readouterr()
    assert main([*given, "--run", "plain"]) == 0
    assert "by order=sympy and composition=right it" in capsys.readouterr().err
    assert main([*given, "--run", "read", "--order", "sympy", "--composition", "right"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*given, "--run", "x", "--order", "simpy"]) == 2
    [read] = home.rglob("runs/read/**/model.onnx")
    outputs = [
        open_session(f.read_bytes()).run(None, {"pairs": GRID.pairs}) for f in (exported, read)
    ]
    for ours, found in zip(*outputs, strict=True):
        np.testing.assert_allclose(found, ours, atol=1e-4)


# -- chance --------------------------------------------------------------------------------------


@given(st.sampled_from([5, 6, 7, 13, 59, 118]), st.sampled_from(["add", "sub"]), st.integers(0, 99))
def test_guesses_are_warned_about(modulus: int, operation: Any, seed: int) -> None:
    """Whatever the modulus, whatever is guessed; one answer for all pairs is a guess too."""
    grid = make_grid(Task(operation=operation, modulus=modulus), None)
    rng = np.random.default_rng(seed)
    numbers = np.arange(modulus)
    constant = np.tile(rng.random(modulus), (modulus**2, 1))
    assert at_chance(constant.argmax(axis=1), grid, numbers)
    if modulus >= 13:  # of fewer, guesses may come near another table
        found = at_chance(rng.integers(modulus, size=modulus**2), grid, numbers)
        assert found is not None
        assert "try another operation" in found


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div", "x2+y2", "x3+xy"])
@pytest.mark.parametrize("modulus", [5, 7, 13, 59])
@pytest.mark.parametrize("learned", [0.4, 1.0])
def test_what_has_learned_is_not(operation: Any, modulus: int, learned: float) -> None:
    """Be it only the train pairs, by heart; read as another operation it is."""
    grid = make_grid(Task(operation=operation, modulus=modulus), None)
    rng = np.random.default_rng(0)
    logits = rng.random((modulus**2, modulus))
    known = np.flatnonzero(grid.defined)
    right = rng.permutation(known)[: int(learned * known.size)]
    logits[right, grid.answers[right]] = 2
    if modulus > 7:
        assert at_chance(logits.argmax(axis=1), grid, np.arange(modulus)) is None
        other = make_grid(Task(operation="x2+xy+y2", modulus=modulus), None)
        said = at_chance(logits.argmax(axis=1), other, np.arange(modulus))
        assert said is not None
        assert f"by operation={operation}" in said
    elif learned == 1:
        assert at_chance(logits.argmax(axis=1), grid, np.arange(modulus)) is None


def test_a_split_is_in_the_numbers_of_the_files(tmp_path: Path) -> None:
    """A shuffle of the pairs that have an answer there: of division, with 0 at another number."""
    from tests.trainer.test_reading import split_of

    listed = [3, 0, 1, 2, 6, 5, 4]  # number 1 is the residue 0
    (tmp_path / "residues.json").write_text(json.dumps(listed))
    task = LayoutTask(operation="div", order=str(tmp_path / "residues.json"))
    numbers = task.numbers(7)
    shuffle = ["split.kind=shuffle", "split.seed=3", "split.train_fraction=0.5"]
    mask = split_of(shuffle, Task(operation="div", modulus=7), numbers=numbers)
    every = [(a, b) for a in range(7) for b in range(7) if b != 1]
    random.Random(3).shuffle(every)
    expected = sorted((listed[a], listed[b]) for a, b in every[:21])
    assert mask is not None
    assert [tuple(pair) for pair in pairs(7)[mask].tolist()] == expected
    assert (answers(Task(operation="div", modulus=7))[mask] >= 0).all()


def test_the_usual_order_is_itertools_s() -> None:
    """Ours: as itertools yields them."""
    assert ORDERS["lexicographic"] == list(permutations(range(5)))
