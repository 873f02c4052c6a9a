"""`show`, `emergence`, `predict`, `compare` and `plot`: what the client answers, in a terminal."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grokprobe.cli.reading.connecting import asking, opened
from grokprobe.cli.reading.plots import CHARTS, answer_of, form_of, save
from grokprobe.errors import InvalidInput

if TYPE_CHECKING:
    from grokprobe.client.answers import Answer
    from grokprobe.client.synchronous.checkpoint import Checkpoint
    from grokprobe.client.synchronous.client import Client
    from grokprobe.client.synchronous.run import Run

as_json = click.option("--json", "json", is_flag=True, help="The API's answer as it is.")
to_file = click.option(
    *("-o", "--output"),
    type=click.Path(path_type=Path),
    help="NAME.svg, .png, .pdf or .json, which is Vega-Lite.",
)
theme = click.option("--theme", type=click.Choice(["light", "dark"]))
scale = click.option("--scale", type=float, help="Of .png: pixels for each of the chart's.")


@click.command()
@click.argument("run", metavar="RUN[@STEP]")
@as_json
@asking
@click.pass_context
def show(context: click.Context, run: str, json: bool, url: str | None, key: str | None) -> None:
    """Show RUN: its record, accuracy over steps and circle.

    STEP is a number, first, latest, memorised or generalised: then that checkpoint's measures.
    """
    name, step = split(run)
    with opened(context.command_path, url, key) as client:
        found = client.run(name)
        about: Answer = found.about if step is None else found.at(step).about()
        if json:
            print_json(about)
        elif step is None:
            show_run(found)
        else:
            from grokprobe.cli.reading.tables import of_checkpoint

            show_all(of_checkpoint(found.at(step).about()))


@click.command()
@click.argument("run")
@as_json
@asking
@click.pass_context
def emergence(
    context: click.Context, run: str, json: bool, url: str | None, key: str | None
) -> None:
    """Tell when RUN memorised and generalised.

    And when structure emerged beside that: onsets, midpoints, lags and phases.
    """
    from grokprobe.cli.reading.tables import of_emergence

    with opened(context.command_path, url, key) as client:
        answer = client.run(run).emergence()
    print_json(answer) if json else show_all(of_emergence(answer))


@click.command()
@click.argument("run", metavar="RUN[@STEP]")
@click.argument("a", type=int)
@click.argument("b", type=int)
@click.option("--top", type=int, default=3, show_default=True, help="So many residues.")
@as_json
@asking
@click.pass_context
def predict(
    context: click.Context,
    run: str,
    a: int,
    b: int,
    top: int,
    json: bool,
    url: str | None,
    key: str | None,
) -> None:
    """Ask a checkpoint of RUN for its answer to the pair A, B.

    It is the latest if no STEP is named.
    """
    from grokprobe.cli.reading.tables import of_predictions

    with opened(context.command_path, url, key) as client:
        answer = checkpoint(client, run).predict([(a, b)], top=top)
    print_json(answer) if json else show_all(of_predictions(answer))


@click.command()
@click.argument("a", metavar="RUN[@STEP]")
@click.argument("b", metavar="RUN[@STEP]")
@to_file
@theme
@scale
@as_json
@asking
@click.pass_context
def compare(
    context: click.Context,
    a: str,
    b: str,
    output: Path | None,
    theme: str | None,
    scale: float | None,
    json: bool,
    url: str | None,
    key: str | None,
) -> None:
    """Compare two checkpoints: answers, key frequencies, weights.

    With --output it is a picture.
    """
    from grokprobe.cli.reading.tables import of_comparison

    form = form_of(output) if output else ""
    with opened(context.command_path, url, key) as client:
        answer = client.compare(checkpoint(client, a), checkpoint(client, b))
        if output:
            save(answer, output, form, theme, scale)
        elif json:
            print_json(answer)
        else:
            show_all(of_comparison(answer))


@click.command()
@click.argument("run", metavar="RUN[@STEP]")
@click.argument("chart", type=click.Choice(CHARTS))
@to_file
@theme
@scale
@click.option("--of", help="Of circle, spectrum, activations: such as unembedding or neurons.")
@click.option("--frequency", type=int, help="Of circle; the strongest, if none is named.")
@click.option("--index", type=int, help="Of activations: which neuron, head or logit.")
@asking
@click.pass_context
def plot(
    context: click.Context,
    /,
    run: str,
    chart: str,
    output: Path | None,
    theme: str | None,
    scale: float | None,
    url: str | None,
    key: str | None,
    **options: Any,
) -> None:
    """Write a picture of RUN, or of one checkpoint, into a file."""
    name, step = split(run)
    output = output or Path(f"{chart}.svg")
    form = form_of(output)
    with opened(context.command_path, url, key) as client:
        answer = answer_of(client, chart, name, step, options)
        save(answer, output, form, theme, scale)


def split(text: str) -> tuple[str, str | None]:
    """RUN and, where there is one, STEP of RUN@STEP. Raises InvalidInput where either is empty."""
    name, at, step = text.partition("@")
    if not name or (at and not step):
        raise InvalidInput(text or "RUN", "expected RUN or RUN@STEP, such as quickstart@latest")
    return name, step or None


def checkpoint(client: "Client", text: str) -> "Checkpoint":
    """The checkpoint of RUN@STEP, the latest of RUN."""
    name, step = split(text)
    return client.run(name).at(step or "latest")


def print_json(answer: "Answer") -> None:
    """The answer as the API has it."""
    import msgspec

    sys.stdout.write(msgspec.json.format(answer.to_json(), indent=2).decode() + "\n")


def show_all(parts: Iterable[Any]) -> None:
    """Tables and pictures, one below the other."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # whoever reads a pipe has no columns to keep
    for part in parts:
        console.print(part)


def show_run(run: "Run") -> None:
    """A run's record; where the terminal has the characters, its accuracy and circle."""
    from rich.console import Console

    from grokprobe.cli.reading.pictures import accuracy, circles, drawable
    from grokprobe.cli.reading.tables import of_run

    parts: list[Any] = [of_run(run.about)]
    if drawable(Console()) and run.about.checkpoint_count:
        parts += ["", accuracy(run.about, run.trajectory())]
        if steps := moments(run):
            parts += ["", circles(run.coordinates(), steps)]
    show_all(parts)


def moments(run: "Run") -> Sequence[tuple[str, int]]:
    """Steps at which the circle is worth a look; none of s5, which has none."""
    about = run.about
    if about.task.operation == "s5":
        return []
    steps = {
        "first": about.first_step,
        "memorised": about.memorised_step,
        "generalised": about.generalised_step,
        "latest": about.latest_step,
    }
    found = {step: name for name, step in steps.items() if step is not None}
    return [(name, step) for step, name in sorted(found.items())]
