"""Runs of any architecture, from ONNX files by the contract of docs/format.md."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from grokprobe.analysis.probe import Probe
from grokprobe.errors import CheckpointCorrupt, InvalidInput
from grokprobe.safety.bounds import Bounds
from grokprobe.safety.check import OUTPUTS, check_model
from grokprobe.settings import Settings
from grokprobe.store.records import sha256
from grokprobe.task import Residues, Task
from trainer.config.schema import Step
from trainer.importing.chance import answers_of, warn_at_chance
from trainer.importing.elements import elements_record
from trainer.importing.files import read_file
from trainer.importing.layout import LayoutTask
from trainer.importing.onnx_elements import reorder
from trainer.importing.publish import describe_import, figures_of, publish, rehearse
from trainer.importing.tensors import OF_EMBEDDED_MLP, OF_LAYER, OF_TRANSFORMER
from trainer.learning.data import Grid, make_grid
from trainer.measuring.file_gradients import file_gradients
from trainer.measuring.gradients import NAMES
from trainer.measuring.measures import SessionOutputs, read_outputs
from trainer.measuring.norms import weight_norms
from trainer.models.export import Exported, open_session, opset, stamp, strip
from trainer.reporting.progress import Reporter

BLOCK = re.compile(r"blocks\.\d+\.")


def import_onnx(
    settings: Settings,
    paths: Sequence[Path],
    stated: LayoutTask,
    steps: Sequence[int | None],
    run: str,
    reporter: Reporter,
    group: str | None = None,
    dry_run: bool = False,
) -> int:
    """Publish ONNX files as a run whose split is unknown, or say what would be published.

    Returns the exit status.

    `steps` are those of the files; where one is None the file says its own. Raises InvalidInput
    for whatever is wrong with a file, and errors of publication.
    """
    assert stated.modulus is not None  # the command line has it
    grid = make_grid(Task(operation=stated.operation, modulus=stated.modulus), None)
    numbers = stated.numbers(stated.modulus)
    files = [read_file(path, settings.max_model_bytes) for path in paths]
    checkpoints: dict[int, Exported] = {}
    for path, data, step in zip(paths, files, steps, strict=True):
        exported = _check(data, grid, numbers, step, run, str(path))
        if exported.step in checkpoints:
            raise InvalidInput(str(path), f"another file is step {exported.step} too")
        checkpoints[exported.step] = exported
    config = {"files": sorted(map(sha256, files)), **elements_record(numbers)}
    manifest = describe_import(
        run, grid, architecture={"family": "onnx"}, config=config, group=group
    )
    in_order = sorted(checkpoints)
    ordered = [checkpoints[step] for step in in_order]
    if dry_run:
        print(*rehearse(settings, manifest, told_of(ordered, grid)), sep="\n")
    last = read_outputs(open_session(ordered[-1].model), grid, "logits", rows=ordered[-1].rows)
    warn_at_chance(answers_of(last.outputs), grid, numbers)
    return 0 if dry_run else publish(settings, manifest, grid, in_order, ordered, reporter)


def told_of(checkpoints: Sequence[Exported], grid: Grid) -> Iterator[str]:
    """A line about each checkpoint: its size, and how well it answers."""
    for one in checkpoints:
        figures = figures_of(_logits(one, grid))
        yield f"step {one.step}: {len(one.model):,} bytes, {figures}"


def _logits(checkpoint: Exported, grid: Grid) -> Probe:
    session = open_session(checkpoint.model)
    return read_outputs(session, grid, "logits", rows=checkpoint.rows)


def _check(
    data: bytes, grid: Grid, numbers: Residues, step: int | None, run: str, where: str
) -> Exported:
    """The file as it will be published. Raises InvalidInput unless it honours the contract."""
    _bounds(data, grid, where)
    proto = onnx.load_model_from_string(data)
    step = _step(proto, grid.task, step, where)
    reorder(proto, OUTPUTS, numbers)
    strip(proto)
    model = stamp(proto, run, step, grid.task)
    try:
        rows, session = _bounds(model, grid, where).pairs_at_once, open_session(model)
        spread = _check_answers(session, grid, where, rows)
    except InvalidInput:
        raise
    except Exception as error:  # ONNX Runtime's own exceptions share no public base
        reason = str(error).partition("\n")[0]
        raise InvalidInput(where, f"does not run: {reason}") from None
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    floats = {name: w for name, w in arrays.items() if np.issubdtype(w.dtype, np.floating)}
    differentiable = rows >= grid.task.modulus and _named_as_ours(floats)
    gradients = file_gradients(proto, session, grid.task.modulus, spread) if differentiable else {}
    extra = weight_norms(floats) | dict.fromkeys(NAMES) | gradients
    return Exported(step, model, opset(proto), extra, rows=rows)


def _bounds(model: bytes, grid: Grid, where: str) -> Bounds:
    """What a file takes. Raises InvalidInput unless a service would load it."""
    try:
        return check_model(model, where, grid.task.modulus)
    except CheckpointCorrupt as error:
        raise InvalidInput("", str(error)) from None


def _named_as_ours(parameters: Iterable[str]) -> bool:
    """Whether all parameters of a file have names that those of our networks with a W_E have."""
    names = {BLOCK.sub("", name) for name in parameters}
    families = (OF_TRANSFORMER | OF_LAYER, OF_EMBEDDED_MLP)
    return "W_E" in names and any(names <= family.keys() for family in families)


def _step(proto: onnx.ModelProto, task: Task, given: int | None, where: str) -> int:
    """The step that was given, or that the file says. Raises InvalidInput."""
    says = {entry.key: entry.value for entry in proto.metadata_props}
    for name, stated in (("operation", task.operation), ("modulus", str(task.modulus))):
        if says.get(name, stated) != stated:
            raise InvalidInput(where, f"says that its {name} is {says[name]}, not {stated}")
    found = says.get("step") if given is None else given
    if found is None:
        raise InvalidInput(where, "does not say its step; state it with --step")
    try:
        return msgspec.convert(found, Step, strict=False)
    except msgspec.ValidationError:
        message = f"{found!r} is no step, which is a whole number of ten digits at most"
        raise InvalidInput(where, message) from None


def _check_answers(session: ort.InferenceSession, grid: Grid, where: str, rows: int) -> float:
    """The range of the logits of all pairs.

    Raises InvalidInput unless the outputs are finite.
    """
    offered = {output.name for output in session.get_outputs()}
    names = [name for name in OUTPUTS if name in offered]
    for batch in (1, 2):  # a file may say that it takes another number
        session.run(names, {"pairs": grid.pairs[:batch]})
    lows, highs = np.full((2, len(names)), [[np.inf], [-np.inf]])
    outputs = SessionOutputs(session, grid.pairs, tuple(names), rows)
    for block in outputs.blocks(names):
        lows = np.minimum(lows, [values.min() for values in block])
        highs = np.maximum(highs, [values.max() for values in block])
    for name, finite in zip(names, np.isfinite(lows + highs), strict=True):
        if not finite:
            raise InvalidInput(where, f"its output {name} is not finite")
    return float((highs - lows)[names.index("logits")])
