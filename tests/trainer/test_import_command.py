"""The command `import`: what it says and checks before anything is written, and its words."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.task import Mask, Task
from tests.support.foreign import SMALL, State, lens, save, small
from tests.support.trained import Trained, manifests, tiny_config
from tests.trainer.test_importer import home, run_manifest
from trainer.__main__ import main
from trainer.config.toml import read_toml, texts
from trainer.importing.checkpoints import find_run
from trainer.importing.layout import FAMILIES, LAYOUTS, load_layout
from trainer.importing.mapping import read_network
from trainer.importing.steps_and_split import train_mask

__all__ = ["home"]  # a fixture
LIMIT = 10**7
SEVEN = Task(modulus=7)
LENS = ["--layout", "transformer_lens"]

# A program in which whoever imports torch is told so, and ends with 99.
WITHOUT_TORCH = """
import os, sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            print("torch was imported", file=sys.stderr)
            os._exit(99)
sys.meta_path.insert(0, Blocked())
from trainer.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def told(home: Path, *arguments: str, torch_too: bool = False) -> tuple[int, str, str]:
    """Exit status, output and errors of `import` in a process that must not import torch."""
    program = ["-m", "trainer"] if torch_too else ["-c", WITHOUT_TORCH]
    done = subprocess.run(
        [sys.executable, *program, "import", *arguments],
        env={**os.environ, "GROKPROBE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# -- before torch, and before anything is written -------------------------------------------------


def as_it_is(state: State) -> State:
    return state


def another_shape(state: State) -> State:
    return state | {"embed.W_E": np.ones((8, 3), dtype=np.float32)}


def one_more(state: State) -> State:
    return state | {"more": np.ones(3, dtype=np.float32)}


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".safetensors"])
@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (as_it_is, ["--set", "tensors.W_U.axes=p"], "tensors.W_U.axes"),
        (as_it_is, ["--set", "model.tokens=a b c"], "unknown tokens, known: a b =, a b, got"),
        (as_it_is, ["--layout", "none.toml"], "none.toml: cannot be read: No such file"),
        (as_it_is, ["--run", "X y"], "'X y' is not a run name, which is"),
        (as_it_is, ["--group", "G1"], "'G1' is not a group's name, which is"),
        (as_it_is, ["--steps", "1,2,3"], "its checkpoints are 1, and the steps"),
        (as_it_is, ["--set", "file.state=none"], "is not a state dictionary of it"),
        (
            as_it_is,
            ["--set", "split.kind=mask", "--set", "split.file=/no/file.npy"],
            "/no/file.npy",
        ),
        (another_shape, [], "makes d_model 12, but d_model is 3 by embed.W_E (8, 3)"),
        (one_more, [], "more is not in the layout: list it"),
    ],
)
def test_a_mistake_is_found_before_torch_is_imported(
    tmp_path: Path, suffix: str, change: Callable[[State], State], arguments: list[str], words: str
) -> None:
    """Names, layout, files, tensors and their shapes; exit status 2, one line, nothing written."""
    state: State = {name: np.asarray(value) for name, value in change(small()).items()}
    if suffix != ".npz":
        state = {n: torch.from_numpy(np.array(value)) for n, value in state.items()}
    path = str(save(state, tmp_path / f"m{suffix}"))
    step = [] if "--steps" in arguments else ["--step", "1"]
    status, out, err = told(
        tmp_path / "home", path, *LENS, "--run", "x", *step, "--dry-run", *arguments
    )
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert words in line
    assert not (tmp_path / "home").exists()


def test_a_dry_run_says_what_would_be_published(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shapes, sizes, accuracy by split, steps, task, architecture; and nothing is written."""
    files = [str(save(small(step), tmp_path / f"m_{step}.pt")) for step in (0, 20)]
    split = ["split.kind=shuffle", "split.seed=3", "split.train_fraction=0.3"]
    sets = [word for one in split for word in ("--set", one)]
    command = ["import", *files, *LENS, "--run", "dry", "--group", "g", "--steps", "0,20", *sets]
    before = sorted(tmp_path.rglob("*"))
    assert main([*command, "--dry-run"]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    out = capsys.readouterr().out
    for words in (
        "W_E (8, 12) from embed.W_E (8, 12) as 'vocabulary d_model'",
        "W_Q (12, 10) from blocks.0.attn.W_Q (2, 12, 5) as 'heads d_model d_head'",
        "operation add, modulus 7; 14 train pairs, 35 test pairs",
        "family transformer",
        "bytes of weights",
        "run dry would be published in group g; this was a dry run, nothing was written",
    ):
        assert words in out
    assert main(command) == 0
    published = manifests(Trained(Settings(home=str(home)), "dry", tiny_config()))
    for manifest in published:
        measures = manifest.measures
        accuracy = f"train accuracy {measures['train_accuracy']:.4g}"
        line = next(line for line in out.splitlines() if f"step {manifest.step}:" in line)
        assert accuracy in line
        assert f"test accuracy {measures['test_accuracy']:.4g}" in line
    capsys.readouterr()
    assert main([*command, "--dry-run"]) == 0
    assert "run dry exists already" in capsys.readouterr().out
    assert main([*command, "--set", "split.seed=4", "--dry-run"]) == 2
    assert "'dry' is another run (it differs in " in capsys.readouterr().err


# -- words ----------------------------------------------------------------------------------------


def test_wording_is_not_another_run(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Comments, what is ignored, defaults written out, where the split lies, the files' order."""
    text = (LAYOUTS / "transformer_lens.toml").read_text()
    own, moved = tmp_path / "own.toml", tmp_path / "elsewhere"
    own.write_text(text)
    moved.mkdir()
    mask = np.arange(49) % 2 == 0
    for folder in (tmp_path, moved):
        np.save(folder / "split.npy", mask)
    files = [str(save(small(step), tmp_path / f"m_{step}.pt")) for step in (0, 20)]

    def command(where: Path, *arguments: str) -> list[str]:
        split = ["--set", "split.kind=mask", "--set", f"split.file={where}/split.npy"]
        return ["import", "--layout", str(own), "--run", "same", *split, *arguments]

    assert main(command(tmp_path, *files, "--steps", "0,20", "--group", "g")) == 0
    ignored = 'ignore = ["blocks.*.attn.mask", "blocks.*.attn.IGNORE"]'
    assert ignored in text
    changed = text.replace(ignored, 'ignore = ["blocks.0.attn.*M*", "*.mask", "*.IGNORE"]')
    own.write_text(f"# other words\n{changed}")
    assert main(command(moved, *files[::-1], "--steps", "20,0", "--group", "g")) == 0
    # Networks of random weights answer by chance, which is said of both.
    assert capsys.readouterr().err.count("warning: ") == 2
    run = Trained(Settings(home=str(home)), "same", tiny_config())
    manifest = run_manifest(run)
    assert manifest.group == "g"
    assert "ignore" not in manifest.config["layout"]["file"]
    assert main(command(tmp_path, *files, "--steps", "20,0", "--group", "g")) == 2
    assert "config.layout.step.numbers" in capsys.readouterr().err
    assert main(command(tmp_path, *files, "--steps", "0,20")) == 2
    assert "(it differs in group)" in capsys.readouterr().err


def test_steps_of_one_file_is_its_step(tmp_path: Path) -> None:
    """The same run in other words, with the same record."""
    path = save(small(), tmp_path / "m.pt")
    layouts = [load_layout("transformer_lens", step=5), load_layout("transformer_lens", steps="5")]
    one, other = (find_run([path], layout, LIMIT).config for layout in layouts)
    assert one == other


def test_a_layout_of_before_is_the_same(home: Path, tmp_path: Path) -> None:
    """What was published before with its ignore list, and without fields that came since."""
    path = str(save(small(), tmp_path / "m.pt"))
    command = ["import", path, *LENS, "--run", "old", "--step", "1"]
    assert main(command) == 0
    record = home / "store/runs/old/run.json"
    manifest = json.loads(record.read_text())
    manifest["config"]["layout"]["file"] = {"state": "", "ignore": ["blocks.*"]}
    manifest["config"]["layout"]["step"] = {"number": 1}
    manifest["config_sha256"] = "0" * 64
    record.write_text(json.dumps(manifest))
    assert main(command) == 0


# -- --set ----------------------------------------------------------------------------------------

FREE = sorted(texts(FAMILIES.values()))


@pytest.mark.parametrize("field", FREE)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/some/path.npy", "/some/path.npy"),
        ("with spaces.npy", "with spaces.npy"),
        ("a=b=c", "a=b=c"),
        ("it's", "it's"),
        ('"half', '"half'),
        ('"quoted"', "quoted"),
        ("'quoted'", "quoted"),
        ("2026-01-01", "2026-01-01"),
        ("true", "true"),
        ("1e3", "1e3"),
        ("0042", "0042"),
        ("[a]", "[a]"),
        ("[1]", "[1]"),
        ("1\nfile = 2", "1\nfile = 2"),
        ("a # b", "a # b"),
        ("..\\x", "..\\x"),
        (r"step(\d+)", r"step(\d+)"),
        ("é", "é"),
        ("", ""),
    ],
)
def test_text_needs_no_quotes(tmp_path: Path, field: str, text: str, value: str) -> None:
    """A field that holds text takes it as it stands, whatever else it could be in TOML."""
    path = tmp_path / "x.toml"
    path.write_text("")
    raw, _ = read_toml(path, [f"{field}={text}"], FREE)
    section, _, name = field.partition(".")
    assert raw == {section: {name: value}}


def test_text_is_what_layouts_have_of_it() -> None:
    """The fields of which nothing but text is expected; all others are read as TOML."""
    assert FREE == [
        "file.state",
        "split.field",
        "split.file",
        "step.field",
        "step.pattern",
        "task.order",
    ]
    assert lens("model.attention_scale=2").model.attention_scale == 2  # type: ignore[union-attr]
    assert lens("model.causal=false").model.causal is False  # type: ignore[union-attr]
    with pytest.raises(
        InvalidInput, match=r"task\.modulus: expected int \| null, got 'many words'"
    ):
        lens("task.modulus=many words")


def test_a_split_can_be_taken_back(tmp_path: Path) -> None:
    """What only the old kind has goes with it; what both have stays."""
    own = tmp_path / "own.toml"
    drawn = 'kind = "shuffle"\ntrain_fraction = 0.3\nseed = 5'
    own.write_text(
        (LAYOUTS / "transformer_lens.toml").read_text().replace('kind = "unknown"', drawn)
    )

    def load(*sets: str) -> Any:
        return load_layout(str(own), sets, 1).split

    assert load("split.kind=unknown").__struct_config__.tag == "unknown"
    assert (load("split.kind=randperm").seed, load("split.seed=1").seed) == (5, 1)
    assert load("split.kind=mask", "split.file=x.npy").file == "x.npy"
    with pytest.raises(InvalidInput, match=r"--set: split\.file: is not a field of \[split\]"):
        load("split.kind=unknown", "split.file=x.npy")
    with pytest.raises(InvalidInput, match=r"split\.kind: expected str, got \[1\]"):
        load("split.kind=[1]")


# -- steps, layers, sizes -------------------------------------------------------------------------


def test_steps_of_several_files(tmp_path: Path) -> None:
    """A number each, in the order of the files; or a pattern of their names; of one file a list."""
    files = [save(small(n), tmp_path / f"at_{n}.pt") for n in (7, 3)]

    def steps(text: str, paths: list[Path] = files) -> list[tuple[int, str]]:
        layout = load_layout("transformer_lens", [], None, text)
        found = find_run(paths, layout, LIMIT)
        return [(one.step, Path(one.where.split(" step ")[0]).name) for one in found.checkpoints]

    assert steps("100, 0") == [(0, "at_3.pt"), (100, "at_7.pt")]
    assert steps(r"_(\d+)") == [(3, "at_3.pt"), (7, "at_7.pt")]
    for text, words in (("1", "names 1 steps, and the files are 2"), ("x", "--steps: must have")):
        with pytest.raises(InvalidInput, match=words):
            steps(text)
    states = save({"states": [small(0), small(1)]}, tmp_path / "all.pt")
    many = load_layout("transformer_lens", ["file.state=states"], None, "5,9")
    assert [one.step for one in find_run([states], many, LIMIT).checkpoints] == [5, 9]


def test_layers_whose_names_count_from_1() -> None:
    """The same network by other names."""
    state = {name.replace("blocks.0.", "blocks.1."): t for name, t in small().items()}
    with pytest.raises(InvalidInput, match=r"did you mean blocks\.1\.attn\.W_Q"):
        read_network("m", state, lens())
    found = read_network("m", state, lens("file.first_layer=1"))
    assert found.section == SMALL
    with pytest.raises(InvalidInput, match=r"file\.first_layer: expected int <= 1, got 2"):
        lens("file.first_layer=2")


@pytest.mark.parametrize("width", [12, 20])
def test_one_layout_fits_all_widths(width: int) -> None:
    """Queries, keys and values in one matrix, cut by sizes that other tensors tell."""
    from msgspec.structs import replace

    section = replace(SMALL, d_model=width, heads=2, d_head=width // 2)
    state = small(section=section)
    parts = [state.pop(f"blocks.0.attn.W_{m}").transpose(1, 2).reshape(width, width) for m in "QKV"]
    state["qkv"] = torch.cat(parts)
    cuts = {"Q": "0:d_model", "K": "d_model:2*d_model", "V": "-d_model:"}
    axes = "axes='(heads d_head) d_model'"
    rows = [f"tensors.W_{m}={{source='qkv', {axes}, slice='{c}'}}" for m, c in cuts.items()]
    found = read_network("m", state, lens(*rows, "model.heads=2"))
    expected = read_network("m", small(section=section), lens())
    assert found.section == section
    for name, weight in expected.weights.items():
        np.testing.assert_array_equal(found.weights[name], weight)


def test_a_size_that_no_tensor_tells_must_be_stated() -> None:
    """Where every tensor that could tell it is cut by it."""
    cut = "tensors.W_E={source='embed.W_E', axes='vocabulary d_model', slice=':p+1'}"
    with pytest.raises(InvalidInput, match=r"which no tensor tells before; state task\.mod"):
        read_network("m", small(), lens(cut))
    assert read_network("m", small(), lens(cut, "task.modulus=7")).section == SMALL


# -- splits ---------------------------------------------------------------------------------------


def split_of(*assignments: str, task: Task = SEVEN, **table: Any) -> Mask:
    from tests.trainer.test_reading import told as contents

    mask = train_mask(
        lens(*assignments).split, task, contents(**table), LIMIT, np.arange(task.modulus)
    )
    assert mask is not None
    return mask


@pytest.mark.parametrize("operation", ["add", "div"])
@pytest.mark.parametrize("first", ["train", "test"])
def test_the_permutation_is_torch_s(operation: Any, first: str) -> None:
    """As notebooks write it, by the global generator: seed, permute, cut."""
    task = Task(operation=operation, modulus=7)
    pairs = [(a, b) for a in range(7) for b in range(7) if operation == "add" or b]
    torch.manual_seed(11)
    order = torch.randperm(len(pairs)).tolist()
    count = int(0.3 * len(pairs))
    chosen = order[:count] if first == "train" else order[-count:]
    mask = split_of(
        "split.kind=randperm",
        "split.train_fraction=0.3",
        "split.seed=11",
        f"split.first={first}",
        task=task,
    )
    assert set(np.flatnonzero(mask)) == {a * 7 + b for a, b in (pairs[i] for i in chosen)}


ROWS = [0, 12, 44]
LISTS: dict[str, Any] = {
    "mask": torch.from_numpy(np.isin(np.arange(49), ROWS)),
    "pairs": torch.tensor([divmod(row, 7) for row in ROWS]),
    "indices": torch.tensor(ROWS),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("form", ["tensor", "list", "dictionary", "nested", "npz", "json", "npy"])
def test_a_split_in_a_file_of_any_kind(tmp_path: Path, kind: str, form: str) -> None:
    """Masks, pairs and indices, as tensors or lists, alone or among other fields."""
    value, field = LISTS[kind], ""
    path = tmp_path / f"split.{form if form in ('npz', 'json', 'npy') else 'pth'}"
    if form == "npz":
        np.savez(path, train=value.numpy(), test=np.ones(1))
        field = "train"
    elif form == "npy":
        np.save(path, value.numpy())
    elif form == "json":
        path.write_text(json.dumps({"train": value.tolist()}))
        field = "train"
    else:
        forms = {"tensor": value, "list": value.tolist(), "dictionary": {"train": value}}
        forms["nested"] = {"split": {"train": value.tolist(), "test": []}}
        torch.save(forms[form], path)
        field = {"dictionary": "train", "nested": "split.train"}.get(form, "")
    sets = [
        f"split.kind={kind}",
        f"split.file={path}",
        *([f"split.field={field}"] if field else []),
    ]
    assert np.flatnonzero(split_of(*sets)).tolist() == ROWS
    if field and form != "json":
        with pytest.raises(InvalidInput, match=r"holds fields, state one by split\.field: "):
            split_of(*sets[:2])


def test_pairs_may_have_the_token_of_equals() -> None:
    """Lists of (a, b, p), as many notebooks keep them; any other third number is a mistake."""
    triples = [[1, 5, 7], [0, 0, 7]]
    assert np.flatnonzero(split_of("split.kind=pairs", "split.field=x", x=triples)).tolist() == [
        0,
        12,
    ]
    with pytest.raises(InvalidInput, match=r"must be a list of \[a, b\]"):
        split_of("split.kind=pairs", "split.field=x", x=[[1, 5, 6]])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([49], "the index 49 is not within 0..48"),
        ([-1], "the index -1 is not within 0..48"),
        ([1, 1], "names 2 pairs, but only 1 different ones"),
        ([[1, 2]], "must be a list of a*p + b, got int64 (1, 2)"),
        ([0.5], "must be a list of a*p + b, got float64 (1,)"),
        ([True], "must be a list of a*p + b, got bool (1,)"),
    ],
)
def test_indices_that_are_none(value: Any, words: str) -> None:
    """Named with what they should be."""
    with pytest.raises(InvalidInput) as caught:
        split_of("split.kind=indices", "split.field=x", x=value)
    assert words in str(caught.value)


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("MyRun", "myrun"), ("S5 final!", "s5-final"), ("-x", "x"), ("a" * 70, "a" * 63), ("é", None)],
)
def test_the_name_that_would_do(
    home: Path, capsys: pytest.CaptureFixture[str], name: str, near: str | None
) -> None:
    """Of runs and of groups; no name is suggested where nothing is left of it."""
    for command in (["import", "f.pt", *LENS], ["import-onnx", "f.onnx", "--operation", "add"]):
        more = ["--modulus", "7"] if command[0] == "import-onnx" else []
        assert main([*command, *more, f"--run={name}"]) == 2
        assert main([*command, *more, "--run=x", f"--group={name}"]) == 2
        for line in capsys.readouterr().err.splitlines():
            assert line.endswith(f"; {near} would do" if near else "{0,62}")
    assert not home.exists()
