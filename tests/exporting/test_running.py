"""A run that is being trained while it is read: what it gains meanwhile is in no part."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from grokprobe import Client
from grokprobe.client.synchronous.run import Run
from grokprobe.exporting.export import WRITERS
from grokprobe.exporting.series import dataset_of
from grokprobe.exporting.staging import Stage
from tests.support.mortal import killed
from tests.support.served import eventually, serving
from tests.support.trained import Trained, settings_at
from trainer.jobs.training import resume
from trainer.reporting.progress import JsonReporter


@pytest.fixture
def going_on(trained: Trained, tmp_path: Path) -> Iterator[tuple[Run, Stage]]:
    """A run and its export as they were before it gained its other checkpoints."""
    unfinished = Trained(settings_at(tmp_path), "tiny", trained.config)
    assert killed(unfinished, checkpoints=3, steps=0)
    with (
        serving(unfinished.settings, tmp_path) as served,
        Client(served.url, cache=False) as client,
    ):
        run, other = client.run("tiny"), client.run("tiny")
        (tmp_path / "to").mkdir()
        stage = Stage(run, tmp_path / "to")
        assert resume(unfinished.settings, "tiny", JsonReporter()) == 0
        assert eventually(lambda: client.run("tiny").about.status == "complete")
        yield other, stage


def test_every_series_ends_at_the_same_step(going_on: tuple[Run, Stage]) -> None:
    """That of the last weights; each format has them."""
    _, stage = going_on
    assert stage.until == {"to_step": stage.steps[-1]}
    stage.folder.mkdir()
    stage.fetch()
    data = dataset_of(stage.run, stage.until)
    assert data["step"].to_numpy().tolist() == stage.steps
    for form, write in WRITERS.items():
        part = stage.folder.parent / form
        write(stage, part)
        for path in part.rglob("*.parquet") if form == "parquet" else ():
            names = set(pq.read_schema(path).names) & {"step", "to_step"}
            steps = [step for name in names for step in pq.read_table(path)[name].to_pylist()]
            assert all(step is None or step <= stage.steps[-1] for step in steps), path


def test_a_dataset_is_of_one_moment(going_on: tuple[Run, Stage]) -> None:
    """It has every step that there is when it is asked for."""
    run, stage = going_on
    assert run.about.status == "running"
    last = run.to_xarray()["step"].to_numpy()[-1]
    assert last == run.about.latest_step
    assert last > stage.steps[-1]
