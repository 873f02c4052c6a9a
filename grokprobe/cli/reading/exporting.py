"""`grokprobe export`: whole runs for other tools."""

from pathlib import Path

import click

from grokprobe.cli.extras import check_installed
from grokprobe.cli.reading.connecting import asking, opened

FORMATS = ("zarr", "parquet", "safetensors", "npz")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True)
@click.option(*("-o", "--output"), type=click.Path(path_type=Path), metavar="DIR", required=True)
@asking
@click.pass_context
def export(
    context: click.Context,
    runs: tuple[str, ...],
    form: str,
    output: Path,
    url: str | None,
    key: str | None,
) -> None:
    """Write whole runs, weights and every series, into DIR.

    A run is there whole or not at all; after a cut the same command goes on.
    """
    check_installed(context.command_path, "export")
    from grokprobe.exporting.export import export

    with opened(context.command_path, url, key, bars=False) as client:
        for name in runs:
            click.echo(export(client.run(name), form, output))
