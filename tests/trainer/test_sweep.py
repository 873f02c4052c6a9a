"""Sweeps: what a grid expands to, what is refused before training, and cells really trained."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from grokprobe.errors import InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.support.trained import TINY, Trained, archive, events, settings_at, tiny_config
from tests.trainer.test_trainer_faults import trainer
from trainer.__main__ import main
from trainer.config.sweep import load_sweep
from trainer.jobs import sweep as jobs_sweep
from trainer.jobs.existing import check_same
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter
from trainer.reporting.sweep_board import Row, TextBoard

GRID = '[grid]\n"optimiser.weight_decay" = [0.3, 1.0]\n"training.seed" = [0, 1, 2]\n'
DECAYS = '[grid]\n"optimiser.weight_decay" = '


def written(folder: Path, text: str, name: str = "My Sweep.toml") -> Path:
    """A sweep of that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def tiny(folder: Path, grid: str, **changes: Any) -> Path:
    """A sweep of networks as small as `tiny`, without its learning coefficient."""
    kept = {name: table for name, table in TINY.items() if not name.startswith("local")}
    kept["training"] = kept["training"] | changes
    sections = [
        f"[{section}]\n" + "".join(f"{key} = {json.dumps(v)}\n" for key, v in table.items())
        for section, table in kept.items()
    ]
    return written(folder, "".join([*sections, "[grid]\n", grid]), "tiny.toml")


def test_a_grid_is_a_product_in_the_order_written(tmp_path: Path) -> None:
    """The last field is the fastest; every run has its own name, the group is the file's."""
    sweep = load_sweep(written(tmp_path, f'preset = "quickstart"\n[training]\nsteps = 7\n{GRID}'))
    assert sweep.group == "my-sweep"
    assert [tuple(cell.varying.values()) for cell in sweep.cells] == [
        (decay, seed) for decay in (0.3, 1.0) for seed in (0, 1, 2)
    ]
    last = sweep.cells[5]
    assert (last.index, last.config.optimiser.weight_decay, last.config.training.seed) == (5, 1, 2)
    assert (last.config.task.modulus, last.config.training.steps) == (59, 7)  # preset, section
    assert last.run == f"my-sweep-s2-{last.config.sha256[:8]}"
    assert len({cell.run for cell in sweep.cells}) == 6
    sweep.path.write_text(sweep.path.read_text(), encoding="utf-8-sig")  # as some editors do
    assert load_sweep(sweep.path) == sweep
    assert load_sweep(sweep.path).cells == sweep.cells


def test_a_group_can_be_named(tmp_path: Path) -> None:
    """`--run` is the group and the beginning of the runs' names, whatever the file is called."""
    sweep = load_sweep(written(tmp_path, GRID), "decay")
    assert sweep.group == "decay"
    assert sweep.cells[0].run.startswith("decay-s0-")
    with pytest.raises(InvalidInput, match="run: 'No Name' is not a run name"):
        load_sweep(sweep.path, "No Name")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "My Sweep.toml: grid: is missing"),
        ("[grid]\n", "My Sweep.toml: grid: is missing"),
        (f"{DECAYS}[]", "grid.optimiser.weight_decay: must be a list of values, got []"),
        (f"{DECAYS}1.0", "grid.optimiser.weight_decay: must be a list of values, got 1.0"),
        (f"{DECAYS}[1, 'x']", "cell 1: optimiser.weight_decay: expected float, got 'x'"),
        (f"{DECAYS}[0.5, -1]", "cell 1: optimiser.weight_decay: expected float >= 0.0, got -1"),
        (f"{DECAYS}[1, 0, 1.0]", "cells 0 and 2 are the same run: optimiser.weight_decay=1 and"),
        ('[grid]\n"optimiser.decay" = [1]', "cell 0: optimiser.decay: is not a field"),
        ('[grid]\n"optimizer.x" = [1]', "optimizer: is not a section; did you mean optimiser?"),
        ('[grid]\nseed = [1]', "grid.seed: is not a dotted field: section.field"),
        ("[grid]\ntraining.seed = [1]", 'grid.training: write whole fields in quotes, such as "tr'),
        ('[grid]\n"task.modulus" = [59, 4]', "cell 1: task.modulus: must be an odd prime, got 4"),
        (f"[optimiser]\ndecay = 1\n{GRID}", "My Sweep.toml: optimiser.decay: is not a field"),
        (f"task = 3\n{GRID}", "My Sweep.toml: task: is a section"),
        (f'preset = "quikstart"\n{GRID}', "preset quikstart: is not a preset; did you mean quick"),
        (f"preset = 3\n{GRID}", "My Sweep.toml: preset 3: is not a preset"),
        (f'[grid]\n"training.seed" = {list(range(101))}\n"task.split_seed" = {list(range(100))}',
         "has 10,100 cells, at most 10,000 are one sweep"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_before_anything_is_trained(
    tmp_path: Path, text: str, words: str
) -> None:
    """One line: the file, the cell where there is one, the dotted field."""
    with pytest.raises(InvalidInput) as caught:
        load_sweep(written(tmp_path, text))
    assert words in str(caught.value)
    assert str(caught.value).startswith("My Sweep.toml")
    assert "\n" not in str(caught.value)


def test_the_command_lists_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--list` trains nothing; an index outside the grid is refused with the range."""
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    path = str(written(tmp_path, GRID))
    assert main(["sweep", path, "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[4].split()[2:] == ["optimiser.weight_decay=1.0", "training.seed=1"]
    assert main(["sweep", path, "--index", "6"]) == 2
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "9")
    assert main(["sweep", path]) == 2
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "-1")
    assert main(["sweep", path]) == 2
    outside, elsewhere, no_index = capsys.readouterr().err.splitlines()
    assert outside == "error: --index: My Sweep.toml has the cells 0 to 5, got 6"
    assert elsewhere.startswith("error: JOB_COMPLETION_INDEX: My Sweep.toml has the cells 0 to 5")
    assert no_index == "error: JOB_COMPLETION_INDEX: is not the index of a cell: '-1'"


def test_a_run_of_another_configuration_is_refused_with_the_difference(
    trained: Trained,
) -> None:
    """Each field that differs, there and here."""
    manifest = asyncio.run(archive(trained.settings).run("tiny"))
    check_same(manifest, trained.config)
    other = tiny_config(optimiser={"learning_rate": 0.02}, training={**TINY["training"], "seed": 4})
    with pytest.raises(InvalidInput) as caught:
        check_same(manifest, other)
    words = "optimiser.learning_rate is 0.01 there, 0.02 here; training.seed is 0 there, 4 here"
    assert f"run 'tiny': exists with another configuration: {words};" in str(caught.value)


@contextmanager
def sweeping(home: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`sweep` in a process of its own."""
    with trainer(str(home), "sweep", *arguments, OMP_NUM_THREADS="1") as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()  # not killed: it stops its cells
                process.communicate()
    asyncio.run(stop_redis(home))


async def stop_redis(home: Path) -> None:
    """A trainer that was killed leaves its Redis to the next, who stops it at the end."""
    async with open_backends(settings_at(home)):
        pass


def swept(home: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit status of a whole sweep, and its events."""
    with sweeping(home, *arguments) as process:
        output, errors = process.communicate()
    assert errors == ""
    return process.returncode, events(output)


def completed(settings: Settings, path: Path) -> list[bool]:
    """Which cells have their `complete.json`."""

    async def look() -> list[bool]:
        cells = load_sweep(path).cells
        return [await archive(settings).completion(cell.run) is not None for cell in cells]

    return asyncio.run(look())


def test_a_sweep_interrupted_and_continued(tmp_path: Path) -> None:
    """SIGTERM stops the children; the same command skips the finished and resumes the others."""
    settings = settings_at(tmp_path)
    path = tiny(tmp_path, '"training.steps" = [20, 2500]\n')
    with sweeping(tmp_path, str(path), "--jobs", "1") as process:
        assert process.stdout is not None
        heard = [json.loads(process.stdout.readline())]
        while not (heard[-1]["event"] == "checkpoint" and heard[-1]["cell"] == 1):
            heard.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate()
    assert (process.returncode, errors) == (143, "")
    assert completed(settings, path) == [True, False]
    assert {event["status"] for event in heard if event["event"] == "cell"} == {"complete"}
    *_, cell, last = events(output)
    assert (cell["event"], cell["cell"], cell["status"]) == ("cell", 1, "interrupted")
    assert last == {"event": "sweep", "cells": 2, "complete": 1, "failed": []}

    status, again = swept(tmp_path, str(path))
    assert status == 0
    assert completed(settings, path) == [True, True]
    assert (again[0]["event"], again[0]["cell"], again[0]["status"]) == ("cell", 0, "complete")
    assert {event["cell"] for event in again if event["event"] == "start"} == {1}
    assert again[-1] == {"event": "sweep", "cells": 2, "complete": 2, "failed": []}
    manifest = asyncio.run(archive(settings).run(load_sweep(path).cells[1].run))
    assert manifest.group == "tiny"


@pytest.mark.parametrize(("jobs", "threads"), [(1, 5), (2, 2), (5, 1), (9, 1)])
def test_the_cells_at_once_share_the_cpus(
    monkeypatch: pytest.MonkeyPatch, jobs: int, threads: int
) -> None:
    """One thread at least; the environment may ask for fewer."""
    monkeypatch.setattr(jobs_sweep, "allowed_cpus", lambda: 5)
    monkeypatch.setattr(jobs_sweep, "most_threads", lambda: 5)
    assert jobs_sweep.share(jobs) == threads
    monkeypatch.setattr(jobs_sweep, "most_threads", lambda: 1)
    assert jobs_sweep.share(jobs) == 1


def test_a_sweep_trains_one_cell_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a GPU is there and the cells may train on it: then one after another."""
    monkeypatch.setattr(jobs_sweep, "allowed_cpus", lambda: 5)
    monkeypatch.setattr(jobs_sweep, "has_gpu", lambda: True)
    seeds = '"training.seed" = [0, 1]\n'
    assert jobs_sweep.at_once(load_sweep(tiny(tmp_path, seeds))) == 5
    assert jobs_sweep.at_once(load_sweep(tiny(tmp_path, seeds, device="auto"))) == 1
    monkeypatch.setattr(jobs_sweep, "has_gpu", lambda: False)
    assert jobs_sweep.at_once(load_sweep(tiny(tmp_path, seeds, device="auto"))) == 5


def test_a_second_ctrl_c_insists(tmp_path: Path) -> None:
    """Both children end, whatever they do, and neither has failed: the same command goes on."""
    path = tiny(tmp_path, '"training.seed" = [0, 1]\n', steps=10**5)
    with sweeping(tmp_path, str(path), "--jobs", "2") as process:
        assert process.stdout is not None
        begun: set[int] = set()
        while len(begun) < 2:
            begun.add(json.loads(process.stdout.readline())["cell"])
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert errors == ""
    assert process.returncode in (130, 143)  # of two signals at once, either may come first
    ended = [event for event in events(output) if event["event"] == "cell"]
    assert [event["status"] for event in ended] == ["interrupted", "interrupted"]


def test_a_sweep_is_refused_before_any_cell_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last cell's name is taken by another configuration: of all cells, or of that one."""
    path = tiny(tmp_path, '"training.seed" = [0, 1]\n', steps=20)
    settings, cell = settings_at(tmp_path), load_sweep(path).cells[1]
    other = tiny_config(training=TINY["training"] | {"steps": 5}, local_learning_coefficient={})
    assert start(settings, other, cell.run, JsonReporter()) == 0
    capsys.readouterr()
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    assert main(["sweep", str(path)]) == main(["sweep", str(path), "--index", "1"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    for line in errors.splitlines():
        assert line.startswith(f"error: run '{cell.run}': exists with another configuration: ")
        assert "training.steps is 5 there, 20 here; training.seed is 0 there, 1 here" in line


def test_one_cell_fails_and_the_others_go_on(tmp_path: Path) -> None:
    """Two at once; the exit status and the last line tell, and telling again costs no training."""
    path = tiny(tmp_path, '"optimiser.weight_decay" = [1000.0, 1.0]\n', steps=60)
    status, heard = swept(tmp_path, str(path), "--jobs", "2")
    assert status == 1
    [failed] = heard[-1]["failed"]
    assert (failed["cell"], heard[-1]["complete"]) == (0, 1)
    assert "train_loss is not finite at step" in failed["reason"]
    status, again = swept(tmp_path, str(path))
    assert status == 1
    assert [event["event"] for event in again] == ["cell", "cell", "sweep"]
    with sweeping(tmp_path, str(path), "--index", "0") as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "failed: train_loss is not finite at step" in errors


def test_a_complete_cell_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a pod that took the place of another one finds it: status 0, nothing trained."""
    path = tiny(tmp_path, '"training.seed" = [0, 1]\n', steps=20)
    settings, cell = settings_at(tmp_path), load_sweep(path).cells[1]
    assert start(settings, cell.config, cell.run, JsonReporter()) == 0
    capsys.readouterr()
    monkeypatch.setenv("GROKPROBE_HOME", str(tmp_path))
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert main(["sweep", str(path)]) == 0
    [end] = events(capsys.readouterr().out)
    assert (end["event"], end["status"]) == ("end", "complete")


def test_a_table_of_a_sweep(tmp_path: Path) -> None:
    """On a terminal: each cell, its fields, how far it is; the last lines are the failed."""
    rows = [Row(cell) for cell in load_sweep(written(tmp_path, GRID), "decay").cells]
    rows[0].status, rows[0].facts = "running", {"step": 1200, "steps_per_s": 33.4}
    rows[1].status, rows[1].reason = "failed", "train_loss is not finite at step 3"
    rows[2].status, rows[2].facts = "complete", {"step": 12_000, "test_accuracy": 0.99951}
    sink = StringIO()
    board = TextBoard(rows, Console(file=sink, force_terminal=True, width=160, height=40))
    board.ended(rows[2])
    board.close(rows)
    shown = sink.getvalue()
    for words in ("weight_decay=0.3 training.seed=2", "1,200/12,000", "33", "1.000", "waiting"):
        assert words in shown
    failed = f"failed: cell 1, {rows[1].cell.run}: train_loss is not finite at step 3"
    *_, done, last = shown.splitlines()
    assert "1 of 6 runs are complete; the same command goes on" in done
    assert last == failed
