"""`python -m trainer train | resume`: exit status 0 done, 1 failed, 2 refused, 128 + signal."""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from grokprobe.errors import (
    GrokprobeError,
    InvalidInput,
    NotFound,
    RunDeleted,
    RunExists,
    SettingError,
)
from grokprobe.settings import read_settings
from grokprobe.store.manifest import check_run_name
from trainer.config import default_run_name, load, preset

REFUSED = (InvalidInput, NotFound, RunExists, RunDeleted)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; argparse exits with status 2 and the usage if it makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a new run and publish its checkpoints")
    source = train.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", metavar="NAME", help="a configuration that comes with this")
    source.add_argument("--config", metavar="FILE", type=Path, help="a TOML file of your own")
    train.add_argument(
        "--set",
        metavar="SECTION.FIELD=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="change one field, for example optimiser.weight_decay=0.5; may be repeated",
    )
    train.add_argument("--run", metavar="RUN", help="its name; NAME-sSEED-CONFIG8 if left out")
    resume = commands.add_parser("resume", help="go on with a run that was stopped")
    resume.add_argument("run", metavar="RUN")
    return parser.parse_args(arguments)


def work(arguments: argparse.Namespace) -> int:
    """Do what the command line says; return the exit status."""
    settings = read_settings()
    if settings.store_url.startswith("memory:"):
        message = "a run in memory would be gone when training ends; choose a store that stays"
        raise SettingError("GROKPROBE_STORE_URL", message)
    if arguments.command == "train":
        path = arguments.config or preset(arguments.preset)
        config = load(path, arguments.assignments)
        run = check_run_name(arguments.run or default_run_name(path.stem, config))
    # Imported only now: torch takes seconds, and a mistake above deserves a quick answer.
    from trainer.job import resume, start
    from trainer.progress import make_reporter

    with closing(make_reporter(settings)) as reporter:
        if arguments.command == "train":
            return start(settings, config, run, reporter)
        return resume(settings, check_run_name(arguments.run), reporter)


def main(arguments: Sequence[str] | None = None) -> int:
    """The whole program: no error leaves it as a traceback."""
    parsed = parse(arguments)
    try:
        return work(parsed)
    except GrokprobeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, REFUSED) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    # Before training has a handler of its own: PID 1 of a container ignores SIGTERM without one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main())
