"""The command line of `python -m trainer`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from grokprobe.task import Operation
from trainer.config.sweep import INDEX_VARIABLE
from trainer.importing.elements import Composition

DESCRIPTION = (
    "exit status 0 done, 1 failed, 2 refused, 75 object storage away, 76 superseded by a later "
    "trainer, 77 done but the index is behind, 128 + signal"
)
# A random table is known to those who drew it alone.
IMPORTED = [operation for operation in get_args(Operation) if operation != "random"]


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; argparse exits with status 2 and the usage if it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a new run and publish its checkpoints")
    source = train.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", metavar="NAME", help="a configuration that comes with this")
    source.add_argument("--config", metavar="FILE", type=Path, help="a TOML file of your own")
    _add_assignments(train, "optimiser.weight_decay=0.5")
    train.add_argument("--run", metavar="RUN", help="its name; NAME-sSEED-CONFIG8 if left out")
    train.add_argument("--resume", action="store_true", help="go on with the run if it exists")
    resume = commands.add_parser("resume", help="go on with a run that was stopped")
    resume.add_argument("run", metavar="RUN")
    _add_sweep(commands)
    _add_imports(commands)
    parsed = parser.parse_args(arguments)
    if parsed.command == "import" and not parsed.inspect and not (parsed.layout and parsed.run):
        parser.error("import needs --layout and --run; --inspect alone shows what a file holds")
    return parsed


def _add_assignments(parser: argparse.ArgumentParser, example: str) -> None:
    parser.add_argument(
        "--set",
        metavar="SECTION.FIELD=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help=f"change one field, for example {example}; may be repeated",
    )


def _add_sweep(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    grid = commands.add_parser("sweep", help="train the runs of a grid, all or one of them")
    grid.add_argument("file", metavar="FILE", type=Path, help="TOML with a [grid]")
    grid.add_argument("--run", metavar="NAME", help="the group; the file's name if left out")
    part = grid.add_mutually_exclusive_group()
    part.add_argument(
        "--index", metavar="N", type=int, help=f"one cell alone; else ${INDEX_VARIABLE}, else all"
    )
    part.add_argument("--jobs", metavar="K", type=_count, help="cells at once; else one a CPU")
    part.add_argument("--list", action="store_true", help="print the cells, train nothing")


def _count(text: str) -> int:
    """Parse a number of processes; argparse words the error."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _add_imports(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    weights = commands.add_parser("import", help="publish weights that others trained")
    weights.add_argument("--layout", metavar="NAME|FILE.toml", help="how the files are read")
    weights.add_argument(
        "--inspect", action="store_true", help="list tensors and fields, publish nothing"
    )
    _add_assignments(weights, "task.operation=sub")
    models = commands.add_parser("import-onnx", help="publish ONNX files that others made")
    models.add_argument("--operation", choices=IMPORTED, required=True)
    models.add_argument("--modulus", metavar="P", type=int, required=True)
    models.add_argument(
        "--order", metavar="NAME|FILE", default="lexicographic", help="of the elements"
    )
    models.add_argument(
        "--composition",
        choices=get_args(Composition),
        default="left",
        help="from which side permutations act",
    )
    for parser in (weights, models):
        parser.add_argument("files", metavar="FILE", type=Path, nargs="+")
        parser.add_argument("--run", metavar="RUN", required=parser is models, help="its name")
        parser.add_argument("--group", metavar="NAME", help="the runs that it is studied with")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be published, write nothing"
        )
        step = parser.add_mutually_exclusive_group()
        step.add_argument("--step", metavar="N", type=int, help="the step of a single file")
        step.add_argument(
            "--steps", metavar="N,N,...|PATTERN", help="of each file; or a pattern of their names"
        )
