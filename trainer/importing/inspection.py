"""What a file holds, in lines for a person: its tensors and fields, by the names layouts use."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from grokprobe.errors import InvalidInput
from trainer.importing.files import is_tensor, read_contents, read_file
from trainer.importing.plain_values import FEW, Record, flat, kind_of, members, text_of

MOST_LINES = 1_000
WIDEST = 60  # characters of the column of names
DEEPEST = 4  # records, and lists of dictionaries, within each other

Row = tuple[str, str]


def inspect_file(path: Path, limit: int) -> list[str]:
    """The lines about one file. Raises InvalidInput if it is none that is read."""
    try:
        rows = list(islice(_rows_of(path, limit), MOST_LINES + 1))
    except InvalidInput as error:  # of what lies in it, which knows no file
        raise InvalidInput(error.path or str(path), error.message) from None
    width = min(WIDEST, max((len(name) for name, _ in rows), default=0))
    lines = [f"  {name:{width}}  {text}" for name, text in rows[:MOST_LINES]]
    return [str(path), *lines, *(["  ..."] if len(rows) > MOST_LINES else [])]


def _rows_of(path: Path, limit: int) -> Iterator[Row]:
    try:
        table = read_contents(path, limit).table
    except InvalidInput:
        if path.suffix.lower() == ".onnx":
            return _onnx(path, limit)
        raise
    return _rows("", table, 0)


def _rows(path: str, value: Any, depth: int) -> Iterator[Row]:
    """Each tensor and each field below a path; of a list of dictionaries its first."""
    for name, leaf in flat(value).items():
        where = f"{path}.{name}" if path and name else path or name
        yield where, _text(leaf)
        if depth == DEEPEST or is_tensor(leaf):
            continue
        if isinstance(leaf, Record):
            for field, inner in leaf.fields.items():
                yield from _rows(f"{where}.{_name(field)}", inner, depth + 1)
        elif isinstance(leaf, list | tuple) and leaf and members(leaf[0]) is not None:
            yield from _rows(f"{where}[0]", leaf[0], depth + 1)


def _name(field: str) -> str:
    return field if field.isprintable() else text_of(field)


def _text(leaf: Any) -> str:
    """A leaf in a few words; of a long list its ends."""
    if isinstance(leaf, Record) and is_tensor(leaf):
        return f"{kind_of(leaf)}, which is not read"
    if isinstance(leaf, list | tuple) and leaf and members(leaf[0]) is not None:
        return text_of(leaf, deep=False)
    if isinstance(leaf, list | tuple) and len(leaf) > FEW:
        first, last = text_of(list(leaf[:3]))[1:-1], text_of(leaf[-1], deep=False)
        return f"{text_of(leaf, deep=False)}: {first}, ... {last}"
    return text_of(leaf)


# -- ONNX ----------------------------------------------------------------------------------------


def _onnx(path: Path, limit: int) -> Iterator[Row]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(read_file(path, limit))
    except DecodeError:
        raise InvalidInput(str(path), "is no whole ONNX file") from None
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            tensor = value.type.tensor_type
            shape = ", ".join(d.dim_param or str(d.dim_value) for d in tensor.shape.dim)
            yield _name(value.name), _name(f"{kind} {_kind(tensor.elem_type)} ({shape})")
    for weight in model.graph.initializer:
        yield _name(weight.name), f"{_kind(weight.data_type)} {text_of(tuple(weight.dims))}"
    for entry in model.metadata_props:
        yield _name(entry.key), text_of(entry.value)


def _kind(number: int) -> str:
    import onnx

    name = onnx.TensorProto.DataType.Name(number).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)
