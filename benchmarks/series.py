"""`python -m benchmarks.series`: series of 400 checkpoints at p 113, on local files, over HTTP.

Sizes before compression; milliseconds of the first answer of a service that has just started, which
reads and checks every file, and of those after it.
"""

import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.probing import publish
from grokprobe.settings import Settings
from tests.support.served import serving

CHECKPOINTS = 400
ROUNDS, STARTS = 20, 3
RUN = "/v1/runs/mainline"
SERIES = ["coordinates", "coordinates?of=unembedding", "spectra", "updates", "path"]
FORMATS = ["npy", "json", "arrow", "parquet", "csv"]


def ask(client: httpx.Client, path: str) -> tuple[float, int]:
    """Milliseconds of an answer, and its bytes; what is unfinished goes on when asked again."""
    began, plain = time.perf_counter(), {"Accept-Encoding": "identity"}
    while (answer := client.get(path, headers=plain)).status_code == 503:
        pass
    took_ms = (time.perf_counter() - began) * 1e3
    assert answer.status_code == 200, answer.text
    return took_ms, len(answer.content)


def of_format(path: str, name: str) -> str:
    """The path of a series in a format."""
    return f"{RUN}/{path}{'&' if '?' in path else '?'}format={name}"


def cold(settings: Settings, home: Path, path: str) -> list[float]:
    """Milliseconds of the first answer, of services that know of the run and have read no file."""
    times = []
    for _ in range(STARTS):
        with serving(settings, home) as served:
            ask(served.client, RUN)
            times.append(ask(served.client, of_format(path, "npy"))[0])
    return times


def main() -> None:
    """Print medians and the slowest."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = publish(home, CHECKPOINTS)
        print(f"mainline, p 113, {CHECKPOINTS} checkpoints")
        for path in SERIES:
            times = cold(settings, home, path)
            found = f"median {statistics.median(times):6.0f} ms   max {max(times):6.0f} ms"
            print(f"{path:28} cold      {found}")
        with serving(settings, home) as served:
            for path in SERIES:
                for name in FORMATS:
                    times = [ask(served.client, of_format(path, name))[0] for _ in range(ROUNDS)]
                    size = ask(served.client, of_format(path, name))[1]
                    found = f"median {statistics.median(times[1:]):6.1f} ms   {size:9,} bytes"
                    print(f"{path:28} {name:9} {found}")


if __name__ == "__main__":
    main()
