"""Every command with its arguments, in the order of `grokprobe --help`.

What a command does stands in a file of its own and is imported when it is called: help, version and
completion stay quick.
"""

import asyncio
import io
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from grokprobe.cli.extras import check_installed
from grokprobe.cli.programs import become
from grokprobe.cli.reading import looking
from grokprobe.cli.reading.agents import mcp
from grokprobe.cli.reading.connecting import asking
from grokprobe.cli.reading.exporting import export
from grokprobe.cli.reading.hub import pull, push
from grokprobe.client.errors import ClientError
from grokprobe.errors import GrokprobeError
from grokprobe.settings import Settings, read_settings

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; errors are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    try:
        status = commands.main(arguments, prog_name="grokprobe", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except GrokprobeError as error:
        print(f"error: {error.told}", file=sys.stderr)
        return EXIT_ERROR
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except click.Abort:  # Ctrl-C
        return EXIT_INTERRUPTED
    return int(status or 0)


class Commands(click.Group):
    """The commands in the order in which they are written."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All names, not sorted."""
        return list(self.commands)


class TrainerCommand(click.Command):
    """A command of the trainer: every word after its name is the trainer's, `--help` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read nothing; the trainer will."""
        ctx.args = list(args)
        return []

    def invoke(self, ctx: click.Context) -> None:
        """Go on as the trainer."""
        check_installed(ctx.command_path, "trainer")
        become("trainer", str(self.name), *ctx.args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="grokprobe", message="%(prog)s %(version)s")
def commands() -> None:
    """Watch a network grok: train small networks on modular arithmetic, ask every checkpoint.

    Settings are read from the environment, such as GROKPROBE_HOME and GROKPROBE_PORT.
    """


@commands.command()
@click.option("--no-browser", is_flag=True, help="Do not open the page.")
@click.option("--shipped", is_flag=True, help="Show the run that comes with the package at once.")
@click.pass_context
def demo(context: click.Context, no_browser: bool, shipped: bool) -> int:
    """Serve, and train `quickstart` meanwhile, until Ctrl-C.

    Without torch, as with --shipped, nothing is trained: there is a run to look at within the
    package. Where there is a desktop the run's page opens in the browser.
    """
    trains = not shipped and find_spec("torch") is not None
    check_installed(context.command_path, "demo", *(["trainer"] if trains else []))
    from grokprobe.cli.demo import demo

    return demo(not no_browser, trains)


@commands.command()
@click.pass_context
def serve(context: click.Context) -> None:
    """Answer over HTTP for every published checkpoint."""
    check_installed(context.command_path, "service")
    become("service")


OF_THE_TRAINER = {
    "train": "Train a new run and publish its checkpoints.",
    "resume": "Go on with a run that was stopped.",
    "sweep": "Train the runs of a grid, all or one of them.",
    "import": "Publish weights that others trained.",
    "import-onnx": "Publish ONNX files that others made.",
}
for name, does in OF_THE_TRAINER.items():
    commands.add_command(TrainerCommand(name, help=does))


@commands.command()
@click.pass_context
def runs(context: click.Context) -> int:
    """List the published runs."""
    check_installed(context.command_path, "store")
    from grokprobe.cli.runs import list_runs

    return finish(list_runs)


@commands.command()
@click.argument("run", required=False)
@click.pass_context
def verify(context: click.Context, run: str | None) -> int:
    """Compare object storage, and the index, with their digests.

    All runs if RUN is left out. Which checkpoints of a run have identical weights is told too.
    """
    check_installed(context.command_path, "store")
    from grokprobe.cli.verify import verify

    return finish(lambda settings: verify(settings, run))


@commands.command()
@click.argument("group")
@click.option("--with", "asked", metavar="NAMES", help="Measures by request, with commas; or all.")
@click.pass_context
def study(context: click.Context, group: str, asked: str | None) -> int:
    """Tell how long before generalisation each series moves."""
    check_installed(context.command_path, "service" if asked else "store")
    from grokprobe.cli.study import print_study

    return finish(lambda settings: print_study(settings, group, asked))


LOOKING = (looking.show, looking.emergence, looking.predict, looking.compare, looking.plot)
for reads in (*LOOKING, export, push, pull, mcp):
    commands.add_command(reads)


@commands.command()
@click.argument("run")
@click.option(
    *("-o", "--output"),
    required=True,
    type=click.Path(path_type=Path),
    help="NAME.html, .gif, .png or .mp4",
)
@asking
@click.option("--theme", type=click.Choice(["light", "dark"]), help="Of a picture.")
@click.option(
    "--frequency", type=int, help="Of a picture's circle; the strongest, if none is named."
)
@click.pass_context
def report(
    context: click.Context,
    run: str,
    output: Path,
    url: str | None,
    key: str | None,
    theme: str | None,
    frequency: int | None,
) -> int:
    """Write the page of RUN, or its circle forming, into one file."""
    check_installed(context.command_path, "service")
    from grokprobe.cli.reports.write import write_report

    return write_report(run, output, (url, key), theme, frequency)


@commands.command()
@click.option("--watch", is_flag=True, help="Keep it equal from now on.")
@click.pass_context
def reindex(context: click.Context, watch: bool) -> int:
    """Rebuild the Redis index from object storage.

    A service that may write to Redis does that by itself.
    """
    check_installed(context.command_path, "store")
    from grokprobe.cli.reindex import reindex

    return finish(lambda settings: reindex(settings, watch))


@commands.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--free-name", is_flag=True, help="Let another run have its name.")
@click.pass_context
def delete(context: click.Context, run: str, yes: bool, free_name: bool) -> int:
    """Delete RUN for ever.

    Its name is never used again; but --free-name frees that of a run on which nobody can rely:
    deleted within a day, and imported or not trained to its end.
    """
    check_installed(context.command_path, "store")
    from grokprobe.cli.delete import confirm, delete

    def work(settings: Settings) -> Coroutine[Any, Any, int]:
        if not yes:
            confirm(run)
        return delete(settings, run, free_name)

    return finish(work)


def finish(work: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Do work with the settings and return its exit status; Ctrl-C ends the process."""
    try:
        return asyncio.run(work(read_settings()))
    except KeyboardInterrupt:
        # At once: an orderly exit would wait for a request that storage does not answer.
        os._exit(EXIT_INTERRUPTED)
