"""The end of a run: one key set from its final checkpoint, every checkpoint measured with it.

Only then are the run's keys known (docs/maths.md, "Key frequencies"). The models are read back from
object storage, so that a resumed run concludes as any other.
"""

from dataclasses import asdict, dataclass, field

from grokprobe.analysis.measures_table import key_measures
from grokprobe.analysis.nulls import SMALLEST_ORDER, Null, spectrum_null
from grokprobe.analysis.probe import Probe
from grokprobe.analysis.readings import Reading
from grokprobe.analysis.spectra import null_of
from grokprobe.safety.check import check_model
from grokprobe.store.archive.contents import manifests_sha256
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import CheckpointKeyMeasures, CheckpointManifest, KeyRecord, NullRecord
from trainer.learning.data import Grid
from trainer.measuring.measures import read_outputs
from trainer.models.export import open_session

NO_MANIFESTS = manifests_sha256({})


@dataclass(frozen=True)
class Conclusion:
    """The run's keys, its key-dependent measures by checkpoint, the final embedding's nulls."""

    keys: KeyRecord | None = None
    checkpoints: list[CheckpointKeyMeasures] = field(default_factory=list)
    nulls: list[NullRecord] = field(default_factory=list)
    manifests_sha256: str = NO_MANIFESTS  # over the manifests of all of them


async def conclude(archive: ArchiveReader, run: str, grid: Grid) -> Conclusion:
    """Read every checkpoint of a run once more. Raises StoreUnavailable, CheckpointCorrupt."""
    steps = await archive.steps(run)
    if not steps:
        return Conclusion()
    found = {step: await archive.stored_checkpoint(run, step) for step in steps}
    final = found[steps[-1]].record
    frequencies = final.own_keys.frequencies if final.own_keys else []
    measured = []
    for step, manifest in found.items():
        probe = await _probe(archive, manifest.record, grid)
        measured.append(CheckpointKeyMeasures(step=step, measures=key_measures(probe, frequencies)))
    nulls = _nulls(probe, frequencies)
    return Conclusion(final.own_keys, measured, nulls, manifests_sha256(found))


async def _probe(archive: ArchiveReader, manifest: CheckpointManifest, grid: Grid) -> Probe:
    model = await archive.model(manifest)
    where = f"run {manifest.run!r} step {manifest.step}"
    rows = check_model(model, where, grid.task.modulus).pairs_at_once
    # The logits of the train pairs are held: inferring all pairs again takes longer than the rest.
    together: tuple[Reading, ...] = ("sums", "train_rows")
    session = open_session(model)
    return read_outputs(session, grid, "logits", "embedding", together=together, rows=rows)


def _nulls(final: Probe, keys: list[int]) -> list[NullRecord]:
    """The concentration of the final embedding, and of its strongest frequencies, by chance."""
    if final.embedding is None or final.basis.order < SMALLEST_ORDER:
        return []
    rows = final.basis.rows(final.embedding)
    found: list[Null | None] = [null_of(final.basis, rows)]
    if keys and final.basis.cyclic:
        found.append(spectrum_null(rows, statistic="top_share", keys=keys))
    return [NullRecord(**asdict(null)) for null in found if null]
