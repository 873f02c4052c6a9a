"""The commands that look after what is published: reindex, verify, runs, delete."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from grokprobe.errors import GrokprobeError, InvalidInput
from grokprobe.settings import Settings, read_settings
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import problems
from grokprobe.store.backends import open_backends, open_store

EXIT_FOUND_PROBLEMS = 1
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings()
        if options.command == "reindex":
            return asyncio.run(reindex(settings))
        if options.command == "verify":
            return asyncio.run(verify(settings, options.run))
        if options.command == "runs":
            return asyncio.run(runs(settings))
        _confirm(options.run, options.yes)
        return asyncio.run(delete(settings, options.run))
    except GrokprobeError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        # At once: an orderly exit would wait for a request that storage does not answer.
        os._exit(EXIT_INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m grokprobe", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("reindex", help="rebuild the Redis index from object storage")
    commands.add_parser("runs", help="list the published runs")
    verify = commands.add_parser("verify", help="compare what is stored with its digests")
    verify.add_argument("run", nargs="?", help="all runs if left out")
    delete = commands.add_parser("delete", help="delete a run for ever")
    delete.add_argument("run")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    return parser


async def reindex(settings: Settings) -> int:
    """Rebuild the index; exit code 1 if something that is stored could not be read."""
    async with open_backends(settings) as backends:
        report = await backends.catalogue.rebuild(backends.archive)
    for problem in report.problems:
        print(problem)
    print(f"indexed {report.runs} runs, {report.checkpoints} checkpoints; dropped {report.removed}")
    return EXIT_FOUND_PROBLEMS if report.problems else 0


async def verify(settings: Settings, run: str | None) -> int:
    """Print every problem of a run, or of every name in object storage; exit code 1 if any."""
    archive = ArchiveReader(open_store(settings))
    names = await archive.names() if run is None else [run]
    found = [line for name in names for line in await problems(archive, name)]
    for line in found:
        print(line)
    print(f"verified {len(names)} runs, {len(found)} problems")
    return EXIT_FOUND_PROBLEMS if found else 0


async def runs(settings: Settings) -> int:
    """One line for each run: name, status, number of checkpoints, latest step."""
    archive = ArchiveReader(open_store(settings))
    found = await archive.runs()
    if not found:
        where = settings.store_url or settings.home_path / "store"
        print(f"no runs in {where}", file=sys.stderr)
    for run in found:
        state = await archive.state(run)
        latest = "" if state.latest_step is None else f", latest step {state.latest_step}"
        print(f"{run}  {state.status}  {state.checkpoint_count} checkpoints{latest}")
    return 0


async def delete(settings: Settings, run: str) -> int:
    """Tombstone, index, records, all else: in this order nobody finds a half-deleted run."""
    async with open_backends(settings) as backends:
        await backends.publisher.mark_deleted(run)
        await backends.catalogue.remove_run(run)
        await backends.publisher.delete(run)
    print(f"deleted {run}; the name is never used again")
    return 0


def _confirm(run: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput("--yes", f"is needed to delete {run!r} where nobody can be asked")
    print(f"Delete {run} for ever? Type its name to confirm: ", end="", flush=True)
    if sys.stdin.readline().strip() != run:
        raise InvalidInput("", "not confirmed, nothing was deleted")


if __name__ == "__main__":
    sys.exit(main())
