"""`grokprobe study`: how long before generalisation each series of a group's runs moves."""

import asyncio
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np

from grokprobe.analysis.fourier import frequencies
from grokprobe.analysis.measures_table import MEASURES
from grokprobe.analysis.measuring.definitions import MeasureDefinition
from grokprobe.analysis.measuring.keyed_probe import KeyedProbe
from grokprobe.analysis.measuring.requested import BY_REQUEST
from grokprobe.analysis.outputs import Outputs, WholeOutputs
from grokprobe.analysis.precursors.study import Half, Judgement, Precursor, Study, study
from grokprobe.analysis.probe import Probe
from grokprobe.cli.programs import command_line, environment
from grokprobe.errors import GroupNotFound, InvalidInput
from grokprobe.settings import Settings
from grokprobe.store.archive.contents import Contents, read_contents
from grokprobe.store.archive.opening import open_store
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.records import RunManifest, task_of
from grokprobe.studies import Requested, lacking, member_of, read_requested
from grokprobe.task import split

# By request, of one number each: a measure of many is no series.
SERIES = [name for name, measure in BY_REQUEST.items() if measure.of_outputs]
REPEATS = 3
KEYS = 5  # a solved network has about as many
WIDTHS = {"d_model": 128, "d_mlp": 512}  # where an architecture does not say
COLUMNS = (
    *("series", "threshold", "hits", "late", "false alarms", "p"),
    *("lead: median [quarter, three quarters]", "mean in its bracket", "censored", "pairs", "ms"),
)


async def print_study(settings: Settings, group: str, asked: str | None) -> int:
    """Print a table with a row for each series, judged on the half that did not choose.

    With the measures by request that are asked for, computed where they are not kept.
    """
    names = _names(asked)
    archive = ArchiveReader(open_store(settings))
    groups = await archive.groups()
    if group not in groups:
        raise GroupNotFound(group, sorted(groups))
    contents = [await read_contents(archive, run) for run in groups[group]]
    if names and (status := await _measure(settings, contents, names)):
        return status
    members = [member_of(one, _kept(settings, one, names)) for one in contents]
    found = study(group, members)
    costs = milliseconds(contents[0], {one.series for one in found.series})
    for line in lines(found, costs, [name for name in SERIES if name not in names]):
        print(line)
    return 0


def _names(asked: str | None) -> list[str]:
    """The measures by request that are asked for. Raises InvalidInput for one that is no series."""
    names = [*SERIES] if asked == "all" else list(dict.fromkeys(asked.split(",") if asked else ()))
    for name in names:
        if name not in SERIES:
            choices = f"is neither all nor one of {', '.join(SERIES)}, which are by request"
            raise InvalidInput("--with", f"{name[:60]!r} {choices}")
    return names


async def _measure(settings: Settings, contents: Sequence[Contents], names: list[str]) -> int:
    """Have the service's code compute what is not kept, in a process; its exit status."""
    home = settings.home_path
    runs = [c.name for c in contents if lacking(c, read_requested(home, c), names)]
    if not runs:
        return 0
    command = command_line("service.measuring", ",".join(names), *runs)
    child = await asyncio.create_subprocess_exec(*command, env=environment())
    return await child.wait()


def _kept(settings: Settings, contents: Contents, names: list[str]) -> Requested:
    """What is kept of a run of these measures."""
    kept = read_requested(settings.home_path, contents)
    return {model: {n: found[n] for n in names if n in found} for model, found in kept.items()}


def lines(found: Study, costs: dict[str, float], absent: Sequence[str]) -> Iterator[str]:
    """The study as Markdown, with what each series takes by itself on this machine.

    The series by request that are `absent` are named.
    """
    yield f"group {found.group}{', which goes on' if found.provisional else ''}"
    yield f"thresholds chosen on {_half(found.chosen_on)}"
    yield f"judged on {_half(found.judged_on)}"
    for one in found.left_out:
        yield f"left out: {one.run}, {one.reason}"
    if absent:
        yield f"not asked for (--with): {', '.join(absent)}"
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


def milliseconds(contents: Contents, names: Collection[str]) -> dict[str, float]:
    """What each of these measures takes by itself, in ms: of random outputs as large as this run's.

    The least of a few tries; without inference, and without what needs weights or gradients.
    """
    probe = _noise(contents.run.record)
    costs = {m.name: _seconds(m, probe) for m in MEASURES if m.name in names}
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
