"""`python -m trainer COMMAND`: an exit status of `trainer.reporting.exit_status`, 128 + signal."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from grokprobe.errors import GrokprobeError
from grokprobe.runtimes import check_runtime
from grokprobe.settings import Settings, read_settings, refuse_memory
from grokprobe.store.records import check_group_name, check_run_name
from trainer.arguments import parse_arguments
from trainer.config import ensemble
from trainer.config.schema import preset
from trainer.config.sweep import INDEX_VARIABLE, index_from, listing, load_sweep
from trainer.importing.layout import LayoutTask, load_layout
from trainer.importing.layouts.ours import OURS, layout_of
from trainer.jobs.signals import leave
from trainer.reporting.exit_status import exit_status

if TYPE_CHECKING:
    from trainer.reporting.progress import Reporter

# What a command does once it has a reporter. Each checks what it can before it imports torch, which
# takes seconds: a mistake deserves a quick answer.
Act = Callable[["Reporter"], int]


def prepare_train(arguments: argparse.Namespace, settings: Settings) -> Act:
    """Prepare `train`: a new run from a configuration."""
    path = arguments.config or preset(arguments.preset)
    configs, together = ensemble.load_ensemble(path, arguments.assignments)
    group, runs = ensemble.names(path.stem, arguments.run, configs)
    if not together:
        group = runs[0] = check_run_name(arguments.run or runs[0])
    members = dict(zip(runs, configs, strict=True))
    kind: dict[str, Any] = {"group": group if together else None, "go_on": arguments.resume}
    from trainer.jobs.training import start_all

    return lambda reporter: start_all(settings, members, group, reporter, **kind)


def prepare_resume(arguments: argparse.Namespace, settings: Settings) -> Act:
    """Prepare `resume`: an old run by its own configuration."""
    run = check_run_name(arguments.run)
    from trainer.jobs.training import resume

    return lambda reporter: resume(settings, run, reporter)


def prepare_sweep(arguments: argparse.Namespace, settings: Settings) -> Act:
    """Prepare `sweep --index`: one cell, as an Indexed Job or `sweep` starts it."""
    sweep = load_sweep(arguments.file, arguments.run)
    cell = sweep.cell(arguments.index, arguments.index_from)
    from trainer.jobs.training import start

    return lambda reporter: start(
        settings, cell.config, cell.run, reporter, group=sweep.group, go_on=True
    )


def sweep_here(arguments: argparse.Namespace, settings: Settings) -> int:
    """Train every cell of a sweep in a process of its own, or print their list."""
    sweep = load_sweep(arguments.file, arguments.run)
    if arguments.list:
        print(*listing(sweep), sep="\n")
        return 0
    from trainer.jobs.sweep import train_all

    return train_all(sweep, settings, arguments.jobs)


def prepare_import(arguments: argparse.Namespace, settings: Settings) -> Act:
    """Prepare `import`: weights by a layout."""
    run, group = check_run_name(arguments.run), check_group_name(arguments.group)
    told = None
    if arguments.layout == OURS:
        told = partial(layout_of, arguments.files[0], settings.max_model_bytes)
    stated = (arguments.assignments, arguments.step, arguments.steps)
    layout = load_layout(arguments.layout, *stated, told)
    from trainer.importing.checkpoints import find_run

    found = find_run(arguments.files, layout, settings.max_model_bytes)
    from trainer.importing.weight_files import import_run, rehearse_run

    if arguments.dry_run:
        return lambda _: rehearse_run(settings, found, run, group)
    return lambda reporter: import_run(settings, found, run, reporter, group)


def prepare_import_onnx(arguments: argparse.Namespace, settings: Settings) -> Act:
    """Prepare `import-onnx`: models as they are."""
    stated = LayoutTask(**{name: getattr(arguments, name) for name in LayoutTask.__struct_fields__})
    stated.check()
    run, group = check_run_name(arguments.run), check_group_name(arguments.group)
    files, steps = arguments.files, [arguments.step] * len(arguments.files)
    if arguments.steps is not None:
        from trainer.importing.steps_and_split import steps_of_files

        steps = steps_of_files(arguments.steps, files)
    from trainer.importing.onnx_files import import_onnx

    kind: dict[str, Any] = {"group": group, "dry_run": arguments.dry_run}
    return lambda reporter: import_onnx(settings, files, stated, steps, run, reporter, **kind)


PREPARE = {
    "train": prepare_train,
    "resume": prepare_resume,
    "sweep": prepare_sweep,
    "import": prepare_import,
    "import-onnx": prepare_import_onnx,
}


def _one_cell(arguments: argparse.Namespace) -> bool:
    """Return whether `sweep` trains one cell, whose index and its source `arguments` then hold."""
    arguments.index_from = "--index"
    if arguments.index is None and not (arguments.list or arguments.jobs):
        arguments.index_from = INDEX_VARIABLE
        arguments.index = index_from(os.environ)
    return arguments.index is not None


def work(arguments: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status."""
    settings = read_settings()
    check_runtime("trainer")
    if getattr(arguments, "inspect", False):
        from trainer.importing.inspection import inspect_file

        for path in arguments.files:
            print(*inspect_file(path, settings.max_model_bytes), sep="\n")
        return 0
    refuse_memory(settings)
    if arguments.command == "sweep" and not _one_cell(arguments):
        return sweep_here(arguments, settings)
    act = PREPARE[arguments.command](arguments, settings)
    if getattr(arguments, "dry_run", False):
        from trainer.reporting.progress import make_reporter

        return act(make_reporter(settings))  # and no metrics: nothing is written
    from trainer.reporting.exposition import metered
    from trainer.reporting.progress import make_reporter

    with metered(settings, make_reporter(settings)) as reporter:
        return act(reporter)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program: an error that we know becomes one line and an exit status."""
    parsed = parse_arguments(arguments)
    try:
        return work(parsed)
    except GrokprobeError as error:
        print(f"error: {error.told}", file=sys.stderr)
        return exit_status(error)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    # Before training has a handler of its own: PID 1 of a container ignores SIGTERM without one.
    signal.signal(signal.SIGTERM, leave)
    sys.exit(main())
