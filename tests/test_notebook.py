"""docs/notebook.ipynb is code: it runs from end to end, and says what the API says."""

import copy
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.support.served import PATIENCE_S, Quickstart

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs/notebook.ipynb"
PICTURE = "application/vnd.vegalite.v5+json"


@pytest.fixture(scope="module")
def notebook() -> Any:
    """The notebook as it is in the repository."""
    found = nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(found)
    return found


def kernel(folder: Path) -> AsyncKernelManager:
    """A kernel of this environment, whatever kernels are installed elsewhere, on Unix sockets."""
    return AsyncKernelManager(
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        transport="ipc",
        connection_file=str(folder / "kernel.json"),
    )


def execute(notebook: Any, url: str, folder: Path) -> None:
    """Run all its cells, and stop the kernel; an error in a cell is one here."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket has a short path
        run_by(kernel(Path(short)), notebook, url, folder)


def run_by(manager: AsyncKernelManager, notebook: Any, url: str, folder: Path) -> None:
    """By a kernel that is not yet started."""
    client = NotebookClient(notebook, manager, timeout=PATIENCE_S, startup_timeout=PATIENCE_S)
    places = dict.fromkeys(("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"), str(folder))
    env = {**os.environ, **places, "PYTHONPATH": str(ROOT), "GROKPROBE_CLIENT_URL": url}
    try:
        client.execute(cleanup_kc=True, cwd=str(folder), env=env)
    finally:
        assert not manager.has_kernel


@pytest.fixture(scope="module")
def outputs(
    quickstart: Quickstart, notebook: Any, tmp_path_factory: pytest.TempPathFactory
) -> list[Any]:
    """What all its cells say of the quickstart, one after the other."""
    executed = copy.deepcopy(notebook)
    execute(executed, quickstart.served.url, tmp_path_factory.mktemp("notebook"))
    return [output for cell in executed.cells for output in cell.get("outputs", [])]


def test_it_has_twelve_cells(notebook: Any) -> None:
    """Words and code by turns, each with a name of its own, in the format that has these."""
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"] * 6
    assert len({cell.id for cell in notebook.cells}) == 12


def test_no_output_is_stored(notebook: Any) -> None:
    """What it says it says of the run that it is asked about."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * 6


def test_links_of_its_words_lead_somewhere(notebook: Any) -> None:
    """To pages beside it."""
    links = re.findall(r"\]\(([^)]*)", "".join(cell.source for cell in notebook.cells))
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / link).is_file()] == []


def test_every_claim_holds_of_a_trained_quickstart(outputs: list[Any]) -> None:
    """Each cell asserts what its words say; none fails, and none warns."""
    assert {output.output_type for output in outputs}.isdisjoint({"error"})
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_it_shows_pictures(outputs: list[Any]) -> None:
    """Training, spectra, the circle before and after, one spectrum: by Vega-Lite and as png."""
    pictures = [output.data for output in outputs if PICTURE in output.get("data", {})]
    assert len(pictures) == 5
    assert all("image/png" in picture for picture in pictures)


def test_its_last_table_has_the_numbers_of_the_api(
    quickstart: Quickstart, outputs: list[Any]
) -> None:
    """When each series had made half of its rise beside test accuracy, with its bounds."""
    answer = quickstart.served.client.get("/v1/runs/quickstart/emergence").json()
    lags = {name: lag["midpoint"] for name, lag in answer["lags"].items()}
    rows = [line.split() for line in outputs[-1].data["text/plain"].splitlines()[1:]]
    assert {name: list(map(int, numbers)) for name, *numbers in rows} == {
        name: [round(lag["steps"]), lag["low"], lag["high"]] for name, lag in lags.items()
    }


def test_it_stops_where_a_cell_fails(closed_port: int, tmp_path: Path, notebook: Any) -> None:
    """Where nobody serves, its first cell says which address it asked."""
    with pytest.raises(CellExecutionError, match=f"Unreachable.*127.0.0.1:{closed_port}"):
        execute(copy.deepcopy(notebook), f"http://127.0.0.1:{closed_port}", tmp_path)
