"""`python -m benchmarks.rolling [--rolls 20] [--clients 8]`: requests that a restart loses.

Two replicas behind a balancer of connections, replaced one after the other under clients that keep
their connections and never look whether one is stale. The balancer learns of a stop by `/readyz`.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks.servers import how_quiet
from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.support.rolling import roll
from tests.support.tiny import tiny_run

PATH = "/v1/runs/tiny/checkpoints/latest/predictions?a=1&b=2"


async def _publish(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        await tiny_run("tiny").publish(backends)


def main() -> int:
    """Print what clients saw; exit status 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rolls", type=int, default=20)
    parser.add_argument("--clients", type=int, default=8)
    given = parser.parse_args()
    print(how_quiet())
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=f"{folder}/home")
        asyncio.run(_publish(settings))
        found = roll(settings, Path(folder), PATH, given.rolls, given.clients)
    print(f"{given.rolls} rolls, {given.clients} clients: {found.outcomes.total()} requests")
    print(f"failed: {found.failed} {dict(found.outcomes)}")
    print(f"answers with connection: close: {found.closes}")
    print(f"from SIGTERM to the end: {min(found.stops_s):.1f} to {max(found.stops_s):.1f} s")
    return 1 if found.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
