"""`python -m benchmarks.importing`: checkpoints of p 113 that others trained, imported on one core.

A `.pth` as TransformerLens' users save it: a list of state dictionaries, their epochs, the indices
of the train pairs. Imported with one checkpoint and with 250: the start of the program, torch's one
export of the graph, the rest of the first checkpoint, each further one, and the peak of memory.
Wall time, and CPU time, which a busy machine does not change.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MANY = 250


def clock() -> tuple[float, float]:
    """Seconds of the wall and of this process' CPU."""
    return time.perf_counter(), time.process_time()


BEGAN = time.perf_counter() - time.process_time(), 0.0  # about when the program was started


def write(folder: Path) -> None:
    """Write the two files."""
    import torch

    from tests.support.foreign import transformer_lens
    from trainer.config.schema import TransformerSection
    from trainer.models.transformer import Transformer

    section, states = TransformerSection(), []
    for seed in range(MANY):
        weights = Transformer(section, 113, seed).state_dict()
        states.append(transformer_lens({n: w.numpy() for n, w in weights.items()}, section))
    for count in (1, MANY):
        epochs = [100 * n for n in range(count)]
        table = {"state_dicts": states[:count], "epochs": epochs, "train": torch.arange(3830)}
        torch.save(table, folder / f"{count}.pth")


def measure(folder: Path, count: int) -> None:
    """Import one of the files on one core, and print what it took, as a row of numbers."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from grokprobe.settings import Settings
    from trainer.importing import weight_files
    from trainer.importing.layout import load_layout
    from trainer.reporting.progress import JsonReporter

    started = clock()
    names = vars(weight_files)
    export, exports = names["export_graph"], []

    def timed(*arguments: Any) -> Any:
        before = clock()
        made = export(*arguments)
        exports.append([b - a for a, b in zip(before, clock(), strict=True)])
        return made

    names["export_graph"] = timed
    changes = ["file.state=state_dicts", "step.field=epochs", "file.ignore=['*mask', '*IGNORE']"]
    layout = load_layout("transformer_lens", changes)
    paths = [folder / f"{count}.pth"]
    settings = Settings(home=str(folder / f"home{count}"))
    weight_files.import_files(settings, paths, layout, "theirs", JsonReporter())
    ended = clock()
    [exported] = exports
    rest = [e - s - x for s, e, x in zip(started, ended, exported, strict=True)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(started[0] - BEGAN[0], started[1], *exported, *rest, peak)


def main() -> None:
    """Each import runs in a process of its own."""
    if len(sys.argv) > 1:
        return measure(Path(sys.argv[1]), int(sys.argv[2]))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        size = (Path(folder) / f"{MANY}.pth").stat().st_size / 1e6
        rows = []
        for count in (1, MANY):
            command = [sys.executable, "-m", "benchmarks.importing", folder, str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append([float(word) for word in done.stdout.splitlines()[-1].split()])
    one, many = rows
    further = [(many[i] - one[i]) / (MANY - 1) for i in (4, 5)]
    for name, wall, cpu in (
        ("start of the program, torch included", one[0], one[1]),
        ("torch's export of the graph, once", one[2], one[3]),
        ("the first checkpoint beyond these", one[4], one[5]),
        ("each further one", *further),
    ):
        print(f"{name:40} {wall:8.2f} s   CPU {cpu:8.2f} s")
    print(f"{'peak memory with one, and with ' + str(MANY):40} {one[6]:.0f}, {many[6]:.0f} MB")
    print(f"{'the file of ' + str(MANY):40} {size:.0f} MB")
    return None


if __name__ == "__main__":
    main()
