"""`grokprobe reindex`: makes Redis equal to object storage again."""

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends


async def reindex(settings: Settings) -> int:
    """Rebuild the index; exit status 1 if something that is stored could not be read."""
    async with open_backends(settings) as backends:
        report = await backends.catalogue.rebuild(backends.archive)
    for problem in report.problems:
        print(problem)
    print(f"indexed {report.runs} runs, {report.checkpoints} checkpoints; dropped {report.removed}")
    return 1 if report.problems else 0
