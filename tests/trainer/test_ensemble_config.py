"""Ensembles in a file: which runs they are, and what is wrong with one."""

import asyncio
from pathlib import Path

import pytest

from grokprobe.errors import InvalidInput
from grokprobe.store.archive.publisher import ArchivePublisher
from grokprobe.store.archive.verification import problems
from tests.support.trained import archive, settings_at
from trainer.__main__ import main
from trainer.config.ensemble import load_ensemble, names

SMALL = """
[task]
modulus = 13
train_fraction = 0.6
[model]
d_model = 16
heads = 2
d_head = 8
d_mlp = 32
[training]
steps = 3
threads = 1
device = "cpu"
"""


def file(folder: Path, table: str) -> Path:
    """A configuration with an [ensemble]."""
    path = folder / "small.toml"
    path.write_text(f"{SMALL}\n[ensemble]\n{table}\n")
    return path


def test_members_are_the_product_of_the_lists(tmp_path: Path) -> None:
    """The last list fastest, each member the configuration that it would be alone."""
    table = "weight_decays = [0.5, 1]\nseeds = [3, 4]\ntrain_fractions = [0.5]"
    configs, together = load_ensemble(file(tmp_path, table))
    assert together
    varied = [(c.training.seed, c.optimiser.weight_decay) for c in configs]
    assert varied == [(3, 0.5), (3, 1.0), (4, 0.5), (4, 1.0)]
    assert {config.task.train_fraction for config in configs} == {0.5}
    alone, together = load_ensemble(
        file(tmp_path, "seeds = [9]"), ["training.seed=4", "task.train_fraction=0.5"]
    )
    assert together
    assert alone[0].training.seed == 9


def test_a_file_without_the_section_is_one_run(tmp_path: Path) -> None:
    """And is no ensemble of one."""
    path = tmp_path / "one.toml"
    path.write_text(SMALL)
    configs, together = load_ensemble(path)
    assert (len(configs), together) == (1, False)


def test_names_follow_from_the_configurations(tmp_path: Path) -> None:
    """Members are called as single runs are; the group after the file and all of them, or --run."""
    configs, _ = load_ensemble(file(tmp_path, "seeds = [0, 1]"))
    group, runs = names("small", None, configs)
    assert group.startswith("small-")
    assert [run.rpartition("-")[0] for run in runs] == ["small-s0", "small-s1"]
    assert names("small", None, configs[::-1])[0] != group
    assert names("small", "mine", configs)[0] == "mine"
    assert names("small", "mine", configs)[1][0].startswith("mine-s0-")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "ensemble: has 0 members"),
        ("seeds = []", "ensemble.seeds: "),
        ("seeds = [1, 1]", "ensemble.seeds: has 1 twice"),
        ("seeds = ['a']", "ensemble.seeds: "),
        ("seeds = [-1]", "small.toml: ensemble.seeds: training.seed: "),
        ("seeds = [0.5]", "small.toml: ensemble.seeds: training.seed: "),
        ("seeds = 3", "ensemble.seeds: "),
        ("learning_rates = [2.0]", "ensemble.learning_rates: optimiser.learning_rate: "),
        ("train_fractions = [1.0]", "ensemble.train_fractions: task.train_fraction: "),
        ("seed = [1]", "ensemble.seed: is not a field of [ensemble]; did you mean seeds?"),
        (
            f"seeds = {list(range(1000))}\nweight_decays = [0.1, 0.2]",
            "ensemble: has 2000 members; 1 to 1024 can be trained",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, table: str, message: str) -> None:
    """The file, the list and the field."""
    with pytest.raises(InvalidInput) as caught:
        load_ensemble(file(tmp_path, table))
    assert message in str(caught.value)
    assert str(caught.value).startswith("small.toml: ")


def test_a_section_that_is_no_table_is_named(tmp_path: Path) -> None:
    """As without an ensemble."""
    path = tmp_path / "small.toml"
    path.write_text("training = 3\n[ensemble]\nseeds = [0, 1]", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"small\.toml: training: is a section"):
        load_ensemble(path)


def test_members_of_different_batches_are_refused_before_they_exist(tmp_path: Path) -> None:
    """By the configurations alone."""
    path = file(tmp_path, "train_fractions = [0.3, 0.6]")
    with pytest.raises(InvalidInput, match=r"training\.batch: would be 25 and 40 pairs"):
        load_ensemble(path, ["training.batch=40"])
    assert len(load_ensemble(path, ["training.batch=20"])[0]) == 2


def test_a_deleted_name_refuses_the_whole_ensemble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other member is created."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    path = file(tmp_path, "seeds = [0, 1]")
    _, runs = names("small", "pair", load_ensemble(path)[0])
    (tmp_path / "store").mkdir()
    store = archive(settings_at(tmp_path))
    asyncio.run(store.objects.create(f"runs/{runs[1]}/run.json", b"{}"))
    asyncio.run(ArchivePublisher(store).mark_deleted(runs[1]))
    assert main(["train", "--config", str(path), "--run", "pair"]) == 2
    assert asyncio.run(store.runs()) == []


def test_an_ensemble_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Separate runs of a common group; again it is refused, with --resume nothing is to do."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    command = ["train", "--config", str(file(tmp_path, "seeds = [0, 1]")), "--run", "pair"]
    assert main(command) == 0
    store = archive(settings_at(tmp_path))
    runs = asyncio.run(store.runs())
    assert [run.rpartition("-")[0] for run in runs] == ["pair-s0", "pair-s1"]
    for run in runs:
        assert asyncio.run(store.run(run)).group == "pair"
        assert asyncio.run(problems(store, run)) == []
    assert main(command) == 2
    assert main([*command, "--resume"]) == 0
    assert "there is nothing to resume" in capsys.readouterr().out
