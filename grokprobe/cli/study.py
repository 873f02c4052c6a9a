"""`grokprobe study`: how long before generalisation each series of a group's runs moves."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from grokprobe.analysis.fourier import frequencies
from grokprobe.analysis.measures_table import MEASURES, MeasureDefinition
from grokprobe.analysis.outputs import Outputs, WholeOutputs
from grokprobe.analysis.precursors.study import Half, Judgement, Precursor, Study, study
from grokprobe.analysis.probe import KeyedProbe, Probe
from grokprobe.errors import GroupNotFound
from grokprobe.settings import Settings
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import RunManifest, task_of
from grokprobe.studies import member_of
from grokprobe.task import split

REPEATS = 3
KEYS = 5  # a solved network has about as many
WIDTHS = {"d_model": 128, "d_mlp": 512}  # where an architecture does not say
COLUMNS = (
    *("series", "threshold", "hits", "late", "false alarms", "p"),
    *("lead: median [quarter, three quarters]", "mean in its bracket", "censored", "pairs", "ms"),
)


async def print_study(settings: Settings, group: str) -> int:
    """Print a table with a row for each series, judged on the half that did not choose."""
    archive = ArchiveReader(open_store(settings))
    groups = await archive.groups()
    if group not in groups:
        raise GroupNotFound(group, sorted(groups))
    contents = [await read_contents(archive, run) for run in groups[group]]
    found = study(group, [member_of(one) for one in contents])
    for line in lines(found, milliseconds(contents[0])):
        print(line)
    return 0


def lines(found: Study, costs: dict[str, float]) -> Iterator[str]:
    """The study as Markdown, with what each series takes by itself on this machine."""
    yield f"group {found.group}{', which goes on' if found.provisional else ''}"
    yield f"thresholds chosen on {_half(found.chosen_on)}"
    yield f"judged on {_half(found.judged_on)}"
    for one in found.left_out:
        yield f"left out: {one.run}, {one.reason}"
    yield ""
    yield _row(COLUMNS)
    yield _row(["---"] * len(COLUMNS))
    for series in found.series:
        took = costs.get(series.series)
        yield _row([*_cells(series), str(series.cost.pairs), "" if took is None else f"{took:.2f}"])


def _half(half: Half) -> str:
    seeds = ", ".join(map(str, half.seeds)) or "none"
    return f"{len(half.runs)} runs of the seeds {seeds}: {', '.join(half.runs)}"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(one: Precursor) -> list[str]:
    if one.threshold is None or one.judged is None:
        return [f"`{one.series}`", f"none: {one.refused}", *[""] * (len(COLUMNS) - 4)]
    sign = ">=" if one.threshold.direction == "above" else "<="
    return [f"`{one.series}`", f"{sign} {one.threshold.value:.4g}", *_judged(one.judged)]


def _judged(half: Judgement) -> list[str]:
    lead = half.lead
    first, median, third = (_number(value) for value in lead.survival_quartiles)
    return [
        f"{half.hits}/{half.generalised}",
        str(half.late),
        f"{half.false_alarms}/{half.never}",
        "" if half.p_value is None else f"{half.p_value:.2g}",
        f"{median} [{first}, {third}]",
        f"{_number(lead.mean)} ({_number(lead.low)} .. {_number(lead.high)})",
        str(lead.censored.members),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def milliseconds(contents: Contents) -> dict[str, float]:
    """What each measure takes by itself, in ms: of random outputs as large as this run's.

    The least of a few tries; without inference, and without what needs weights or gradients.
    """
    probe = _noise(contents.run.record)
    costs = {measure.name: _seconds(measure, probe) for measure in MEASURES}
    return {name: 1e3 * took for name, took in costs.items() if took is not None}


def _seconds(measure: MeasureDefinition, noise: Probe) -> float | None:
    if measure.of_outputs is None and measure.of_keys is None:
        return None
    basis, tries = noise.basis, []
    keys = frequencies(basis.order)[:KEYS].tolist() if basis.cyclic else []
    for _ in range(REPEATS):
        probe = replace(noise)  # what it has read it keeps
        began = time.perf_counter()
        if measure.of_outputs:
            measure.of_outputs(probe)
        elif measure.of_keys:
            measure.of_keys(KeyedProbe(probe, keys))
        tries.append(time.perf_counter() - began)
    return min(tries)


def _noise(run: RunManifest) -> Probe:
    """A checkpoint of noise, of a run's task and widths."""
    task, rng = task_of(run), np.random.default_rng(0)
    p, known = task.modulus, split(task, run.task.train_fraction or 0.5, 0)
    d_model, d_mlp = (_width(run.architecture.get(name), else_) for name, else_ in WIDTHS.items())

    def noise(*shape: int) -> Outputs:
        return rng.standard_normal(shape, np.float32)

    by_pair = WholeOutputs({"logits": noise(p * p, p), "neurons": noise(p * p, d_mlp)})
    return Probe(task, known, by_pair, noise(p, d_model), noise(p, d_mlp), together=())


def _width(told: object, otherwise: int) -> int:
    return told if isinstance(told, int) and told > 0 else otherwise
