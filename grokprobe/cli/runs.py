"""`grokprobe runs`: what is published."""

import sys

from grokprobe.settings import Settings
from grokprobe.store.archive.publisher import Archive
from grokprobe.store.backends import open_store
from grokprobe.store.records import status_of


async def list_runs(settings: Settings) -> int:
    """One line for each run: name, status, number of checkpoints, latest step."""
    archive = Archive(open_store(settings))
    found = await archive.runs()
    if not found:
        where = settings.store_url or settings.home_path / "store"
        print(f"no runs in {where}", file=sys.stderr)
    for run in found:
        completion, steps = await archive.completion(run), await archive.steps(run)
        latest = f", latest step {steps[-1]}" if steps else ""
        print(f"{run}  {status_of(completion)}  {len(steps)} checkpoints{latest}")
    return 0
