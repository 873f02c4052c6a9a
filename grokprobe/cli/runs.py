"""`grokprobe runs`: what is published."""

import sys

from grokprobe.settings import Settings
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader


async def list_runs(settings: Settings) -> int:
    """Print a line for each run: name, status, number of checkpoints, latest step."""
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
