"""The weights of every checkpoint on their way: fetched file by file, each whole or not at all.

They lie in a folder beside what is exported until that is whole; the next export goes on with them.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from grokprobe.client.bars import bar
from grokprobe.client.synchronous.run import Run
from grokprobe.exporting.alone import empty, remove

AT_ONCE = 4  # requests
RUN = "run.json"


class Stage:
    """The folder of one run's weights; `steps` are those of its checkpoints."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder / f".{run.name}.export"
        self.steps = [row.step for row in run.checkpoints().checkpoints]
        # What a run that is being trained gains from now on is in none of the series.
        running = run.about.status == "running" and self.steps
        self.until: dict[str, int] = {"to_step": self.steps[-1]} if running else {}

    def path(self, step: int) -> Path:
        """Where the weights of a step are."""
        return self.folder / f"{step:010d}.safetensors"

    def fetch(self) -> None:
        """Fetch what is not there. Raises ClientError."""
        self._claim()
        missing = [step for step in self.steps if not self.path(step).exists()]
        total = len(self.steps)
        with (
            ThreadPoolExecutor(AT_ONCE) as pool,
            bar("weights", total, total - len(missing)) as told,
        ):
            try:
                for _ in pool.map(self._fetch_one, missing):
                    told(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _fetch_one(self, step: int) -> None:
        self.run.at(step).safetensors(self.path(step))

    def _claim(self) -> None:
        """Leave nothing there of another run that had the name."""
        record = self.folder / RUN
        ours = msgspec.json.encode({"created_at": self.run.about.created_at})
        if not record.exists() or record.read_bytes() != ours:
            empty(self.folder)
            record.write_bytes(ours)

    def shapes(self) -> Mapping[str, tuple[tuple[int, ...], Any]]:
        """Shape and type of each weight that every checkpoint has alike."""
        found = [_shapes(self.path(step)) for step in self.steps]
        return {
            name: shape
            for name, shape in (found[0] if found else {}).items()
            if all(other.get(name) == shape for other in found)
        }

    def weights(self, name: str, steps: list[int]) -> Any:
        """One weight at some steps, (steps, its own axes)."""
        import numpy as np
        from safetensors import safe_open

        read = []
        for step in steps:
            with safe_open(self.path(step), "np") as file:
                read.append(file.get_tensor(name))
        return np.stack(read)

    def remove(self) -> None:
        """What was fetched is not needed any more."""
        remove(self.folder)


def _shapes(path: Path) -> dict[str, tuple[tuple[int, ...], Any]]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
