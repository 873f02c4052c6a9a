"""`python -m service.measuring NAMES RUN ...`: measures by request of whole runs, for a study.

`grokprobe study --with` starts it, for models are run by the service's code alone. What it finds it
keeps under home, also when it is interrupted; what is there is not computed again.
"""

import asyncio
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from grokprobe.analysis.measuring import requested
from grokprobe.analysis.measuring.definitions import Value
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.readings import OUTPUT_OF
from grokprobe.errors import GrokprobeError
from grokprobe.machine.cpus import allowed_cpus
from grokprobe.settings import Settings, read_settings
from grokprobe.store.archive.contents import read_contents
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import CheckpointManifest, task_of
from grokprobe.studies import lacking, read_requested, write_requested
from grokprobe.task import answers
from service.inference.checkpoints import Checkpoint, PairTable
from service.inference.residual import Residual, has_residual, open_residual
from service.inference.runtime import Runtime, start_runtime
from service.inference.sweep import Sweep


async def measure(settings: Settings, names: Sequence[str], runs: Sequence[str]) -> None:
    """Compute what is not kept of these runs, one checkpoint after another."""
    archive, runtime = ArchiveReader(open_store(settings)), start_runtime()
    with ThreadPoolExecutor(allowed_cpus()) as threads:
        for run in runs:
            await _measure_run(settings, archive, runtime, threads, names, run)


async def _measure_run(
    settings: Settings,
    archive: ArchiveReader,
    runtime: Runtime,
    threads: ThreadPoolExecutor,
    names: Sequence[str],
    run: str,
) -> None:
    contents = await read_contents(archive, run)
    known = read_requested(settings.home_path, contents)
    wanted = lacking(contents, known, names)
    task = task_of(contents.run.record)
    table = PairTable(task, answers(task), await archive.train_mask(run))
    try:
        for number, manifest in enumerate(wanted, 1):
            print(f"\r{run}: {number} of {len(wanted)} checkpoints", end="", file=sys.stderr)
            model = await archive.model(manifest, settings.max_model_bytes)
            found = await asyncio.to_thread(
                _measured, runtime, threads, table, manifest, model, names
            )
            known.setdefault(manifest.model.sha256, {}).update(found)
    finally:
        print(file=sys.stderr)
        write_requested(settings.home_path, contents, known)


def _measured(
    runtime: Runtime,
    threads: ThreadPoolExecutor,
    table: PairTable,
    manifest: CheckpointManifest,
    model: bytes,
    names: Sequence[str],
) -> dict[str, float | None]:
    """The measures of one checkpoint. Raises CheckpointCorrupt."""
    where = f"run {manifest.run!r} step {manifest.step}"
    session, bounds = runtime.open(model, where, table.task.modulus)
    # Whatever made it: here nobody else waits for it, and Ctrl-C ends it.
    checkpoint = Checkpoint(manifest, table, session, where, bounds, is_trusted=True)
    found: dict[str, Value] = {}
    for family in requested.families(names):
        of_pairs = {OUTPUT_OF[r] for r in requested.readings_of(family)} & checkpoint.shapes.keys()
        outputs: Sweep | Residual = Sweep(checkpoint, tuple(sorted(of_pairs)), {})
        if "residual" in family and has_residual(checkpoint):
            outputs = open_residual(runtime, checkpoint, model)
        outputs.submit = threads.submit
        offered = checkpoint.shapes.keys() & set(requested.matrices_of(family))
        matrices = {name: checkpoint.matrix(name) for name in offered}
        probe = Probe(table.task, table.train_mask, outputs, **matrices, together=())
        found |= requested.of_outputs(family, probe)
    return {name: value for name, value in found.items() if not isinstance(value, dict)}


def main(arguments: Sequence[str]) -> int:
    """Exit status 2 for a problem that a person can solve."""
    names, *runs = arguments
    try:
        asyncio.run(measure(read_settings(), names.split(","), runs))
    except GrokprobeError as error:
        print(f"error: {error.told}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
