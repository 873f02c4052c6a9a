"""`grokprobe push` and `grokprobe pull`: a run to the hub and back."""

from pathlib import Path

import click

from grokprobe.cli.extras import check_installed
from grokprobe.cli.reading.connecting import asking, opened
from grokprobe.errors import InvalidInput
from grokprobe.settings import read_settings


@click.command()
@click.argument("run")
@click.argument("address", metavar="hf://ORG/NAME")
@click.option("--steps", help="`every 10`, or steps and labels with commas; all, if left out.")
@click.option("--private", is_flag=True, help="Where the repository is made for it.")
@click.option("--allow-identical", is_flag=True, help="Though two steps have the same weights.")
@asking
@click.pass_context
def push(
    context: click.Context,
    run: str,
    address: str,
    steps: str | None,
    private: bool,
    allow_identical: bool,
    url: str | None,
    key: str | None,
) -> None:
    """Put RUN on the hub, a branch for every step.

    What is there already is not sent again. The token is that of `hf auth login`, or HF_TOKEN.
    """
    check_installed(context.command_path, "service", "hub")
    from grokprobe.hub import push as pushing
    from grokprobe.hub.repository import Repository

    settings = read_settings()
    repository = Repository(address, settings.max_model_bytes)
    with opened(context.command_path, url, key, bars=False) as client:
        source = pushing.open_source(settings, client, run)
        chosen = pushing.choose(source, steps)
        if not allow_identical:
            pushing.refuse_identical(source, chosen)
        changed = pushing.push(source, repository, chosen, private)
    click.echo(f"run {run} is at {address}: {len(chosen)} steps, {changed} branches changed")


@click.command()
@click.argument("address", metavar="hf://ORG/NAME")
@click.option("--revision", help="A checkpoint: step4400, memorised, generalised; with -o.")
@click.option(
    *("-o", "--output"), type=click.Path(path_type=Path), help="A folder, for files alone."
)
@click.pass_context
def pull(context: click.Context, address: str, revision: str | None, output: Path | None) -> None:
    """Take a run from the hub, verified, into object storage.

    With -o the files of one revision, main if none is named, into a folder.
    """
    if revision is not None and output is None:
        raise InvalidInput("--revision", "names one checkpoint; add -o FOLDER, a run comes whole")
    check_installed(context.command_path, "service", "hub")
    from grokprobe.hub import pull as pulling
    from grokprobe.hub.repository import Repository

    settings = read_settings()
    repository = Repository(address, settings.max_model_bytes)
    if output is not None:
        count = pulling.pull_files(settings, repository, revision or "main", output)
        click.echo(f"{count} files of {address} are in {output}")
        return
    run, count = pulling.pull_run(settings, repository)
    click.echo(f"run {run} is published here: {count} checkpoints")
