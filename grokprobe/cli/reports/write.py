"""`grokprobe report`: what a run shows, in one file: a page, a moving picture or a sheet."""

import signal
import sys
from pathlib import Path

from grokprobe.cli.files import check_place, write
from grokprobe.cli.reading.connecting import opened
from grokprobe.cli.reports.asking import PATIENT
from grokprobe.cli.reports.page import answers_of, page
from grokprobe.client.asking import check_name
from grokprobe.errors import InvalidInput

PICTURES = (".gif", ".png", ".mp4")
ENDINGS = (".html", *PICTURES)


def write_report(
    run: str,
    output: Path,
    service: tuple[str | None, str | None],
    theme: str | None,
    frequency: int | None,
) -> int:
    """Write the report of a run, of the kind that the file's name ends in.

    `service` is an address and the key for it; `theme` and `frequency` are of pictures alone.
    Raises InvalidInput, ClientError.
    """
    check_name("run", run)
    kind = output.suffix.lower()
    if kind not in ENDINGS:
        wanted = f"a name that ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        raise InvalidInput("--output", f"expected {wanted}, got {str(output)!r}")
    given = {"--theme": theme, "--frequency": frequency}
    for option, value in given.items():
        if kind == ".html" and value is not None:
            raise InvalidInput(option, "is of pictures; the page has its own choice of it")
    check_place(output)
    # what was begun is put away also where somebody ends it: the service, its folder
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if kind in PICTURES:
        from grokprobe.cli.reports.film import check_kind, film, story_of

        check_kind(kind)
    url, key = service
    with opened("grokprobe report", url, key, cache=False, bars=False, **PATIENT) as client:
        if kind in PICTURES:
            told = story_of(client, run, frequency)
        else:
            found = answers_of(client, run)
    data = film(told, kind, theme or "light") if kind in PICTURES else page(found).encode()
    write(output, data)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0
