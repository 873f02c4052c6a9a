"""`grokprobe plot`: one of the service's pictures, into a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from grokprobe.cli.files import check_place, write
from grokprobe.errors import InvalidInput

if TYPE_CHECKING:
    from grokprobe.client.answers import Table
    from grokprobe.client.synchronous.client import Client

FORMATS = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".json": "vega-lite"}


class Chart(msgspec.Struct, frozen=True):
    """A picture: the answer that it shows, and the options that this takes."""

    method: str
    takes: tuple[str, ...] = ()
    of_run: bool = False


CHARTS = {
    "circle": Chart("embedding", ("of", "frequency")),
    "spectrum": Chart("spectrum", ("of",)),
    "predictions": Chart("predictions"),
    "activations": Chart("activations", ("of", "index")),
    "neurons": Chart("neurons"),
    "trajectory": Chart("trajectory", of_run=True),
    "spectra": Chart("spectra", of_run=True),
    "pairs": Chart("pairs", of_run=True),
}


def form_of(output: Path) -> str:
    """The format that a file's name ends in. Raises InvalidInput, before any work."""
    if output.suffix.lower() not in FORMATS:
        *first, last = FORMATS
        wanted = f"a name that ends in {', '.join(first)} or {last}"
        raise InvalidInput("--output", f"expected {wanted}, got {str(output)!r}")
    check_place(output)
    return FORMATS[output.suffix.lower()]


def answer_of(
    client: "Client", chart: str, run: str, step: str | None, options: Mapping[str, Any]
) -> "Table":
    """The answer that a chart shows. Raises InvalidInput for what it does not take."""
    meant = CHARTS[chart]
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() - set(meant.takes):
        raise InvalidInput(f"--{name}", f"is not of {chart}")
    if meant.of_run and step is not None:
        raise InvalidInput(f"{run}@{step}", f"{chart} is of the whole run: leave out @{step}")
    found = client.run(run)
    place: Any = found if meant.of_run else found.at(step or "latest")
    answer: Table = getattr(place, meant.method)(**given)
    return answer


def save(answer: "Table", output: Path, form: str, theme: str | None, scale: float | None) -> None:
    """Write the picture of an answer, whole or not at all."""
    write(output, answer.picture(form, theme=theme, scale=scale))
    print(output)
