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
from grokprobe.safety import check_model
from grokprobe.settings import Settings
from grokprobe.store.records import sha256
from grokprobe.task import Residues, Task
from trainer.config.schema import Step
from trainer.importing.chance import warn_at_chance
from trainer.importing.elements import elements_record
from trainer.importing.files import read_file
from trainer.importing.layout import LayoutTask
from trainer.importing.onnx_elements import reorder
from trainer.importing.publish import describe_import, figures_of, publish, rehearse
from trainer.importing.tensors import OF_EMBEDDED_MLP, OF_LAYER, OF_TRANSFORMER
from trainer.learning.data import Grid, make_grid
from trainer.measuring.file_gradients import file_gradients
from trainer.measuring.gradients import NAMES
from trainer.measuring.measures import read_outputs
from trainer.measuring.norms import weight_norms
from trainer.models.export import Exported, open_session, opset, stamp, strip
from trainer.reporting.progress import Reporter

BLOCK = re.compile(r"blocks\.\d+\.")
OUTPUTS = {
    "logits": ("batch", "p"),
    "neurons": ("batch", "d_mlp"),
    "attention": ("batch", "heads", "tokens"),
    "embedding": ("p", "d_model"),
    "embedding_b": ("p", "d_model"),
    "effective_embedding": ("p", "d_mlp"),
    "effective_embedding_b": ("p", "d_mlp"),
    "unembedding": ("p", "d_model"),
    "neuron_logit_map": ("p", "d_mlp"),
}


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
    last = read_outputs(open_session(ordered[-1].model), grid, "logits")
    warn_at_chance(last.logits, grid, numbers)
    return 0 if dry_run else publish(settings, manifest, grid, in_order, ordered, reporter)


def told_of(checkpoints: Sequence[Exported], grid: Grid) -> Iterator[str]:
    """A line about each checkpoint: its size, and how well it answers."""
    for one in checkpoints:
        figures = figures_of(read_outputs(open_session(one.model), grid, "logits"))
        yield f"step {one.step}: {len(one.model):,} bytes, {figures}"


def _check(
    data: bytes, grid: Grid, numbers: Residues, step: int | None, run: str, where: str
) -> Exported:
    """The file as it will be published. Raises InvalidInput unless it honours the contract."""
    try:
        check_model(data, where)
    except CheckpointCorrupt as error:
        raise InvalidInput("", str(error)) from None
    proto = onnx.load_model_from_string(data)
    step = _step(proto, grid.task, step, where)
    reorder(proto, OUTPUTS, numbers)
    strip(proto)
    model = stamp(proto, run, step, grid.task)
    try:
        probe = _check_answers(open_session(model), grid, where)
    except InvalidInput:
        raise
    except Exception as error:  # ONNX Runtime's own exceptions share no public base
        reason = str(error).splitlines()[0]
        raise InvalidInput(where, f"does not run: {reason}") from None
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    floats = {name: w for name, w in arrays.items() if np.issubdtype(w.dtype, np.floating)}
    gradients = file_gradients(proto, probe.logits) if _named_as_ours(floats) else {}
    extra = weight_norms(floats) | dict.fromkeys(NAMES) | gradients
    return Exported(step, model, opset(proto), extra)


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


def _check_answers(session: ort.InferenceSession, grid: Grid, where: str) -> Probe:
    """The outputs. Raises InvalidInput unless they are of the contract's kinds and finite."""
    [given] = session.get_inputs()
    if given.type != "tensor(int64)":
        raise InvalidInput(where, f"its input pairs is {given.type}, not tensor(int64)")
    offered = {output.name for output in session.get_outputs()}
    names = [name for name in OUTPUTS if name in offered]
    for batch in (1, 2):
        values = session.run(names, {"pairs": grid.pairs[:batch]})
        for name, value in zip(names, values, strict=True):
            lengths = {"batch": batch, "p": grid.task.modulus}
            expected = tuple(lengths.get(axis, axis) for axis in OUTPUTS[name])
            fits = len(value.shape) == len(expected) and all(
                isinstance(e, str) or e == n for e, n in zip(expected, value.shape, strict=True)
            )
            if value.dtype != np.float32 or not fits:
                got = f"{value.dtype} {value.shape}"
                raise InvalidInput(where, f"its output {name} is {got}, not float32 {expected}")
    probe = read_outputs(session, grid)
    for name, value in vars(probe).items():
        if name in names and value is not None and not np.isfinite(value).all():
            raise InvalidInput(where, f"its output {name} is not finite")
    return probe
