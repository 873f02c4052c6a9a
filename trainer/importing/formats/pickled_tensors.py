"""What torch and numpy write into pickles: the names of their functions, and what we make of them.

A name that is missing here leaves a Record: a tensor that is sparse, quantised or without numbers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grokprobe.errors import InvalidInput
from trainer.importing.formats.sources import Held, Source
from trainer.importing.formats.stored import NUMPY, Stored, contiguous, natural, stored
from trainer.importing.plain_values import Builder, Record, text_of

# The class of a storage says what it holds; of an untyped one the tensor does.
STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    "Untyped": "uint8",
}
STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+)Storage")
OF_NUMPY = {code: name for name, code in NUMPY.items() if name != "bfloat16"} | {"b1": "bool"}


@dataclass(frozen=True, eq=False)
class Storage:
    """What a persistent name of torch stands for."""

    source: Source
    dtype: str
    start: int = 0  # elements, of a storage that is part of another
    order: str = "<"

    def __repr__(self) -> str:
        return f"storage of {self.dtype}"


@dataclass(frozen=True)
class StorageName:
    """A persistent name of torch: ("storage", class, key, device, length, part of another)."""

    dtype: str
    key: str
    length: int
    part: Any = None

    @classmethod
    def read(cls, name: Any) -> "StorageName":
        """Read one. Raises InvalidInput if it is none."""
        match name:
            case ("storage", Record(name=kind), str() | int() as key, _, length, *part):
                found = STORAGE.fullmatch(kind)
                if found and natural(length) and len(part) <= 1:
                    dtype = STORAGES.get(found[1], f"{found[1]}Storage")
                    return cls(dtype, text_of(key) if isinstance(key, int) else key, length, *part)
        raise InvalidInput("", f"refers to {text_of(name)}, which is no storage of torch")


def _tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    _requires_grad: Any = None,
    _hooks: Any = None,
    bits: Any = None,
    dtype: Any = None,
) -> Any:
    """A tensor; a record of one whose bits say that it is the negative or the conjugate."""
    if bits:
        return Record("torch.Tensor.negative_or_conjugate", (storage,))
    if not isinstance(storage, Storage) or not natural(offset):
        raise InvalidInput("", f"has a tensor of {text_of(storage)} from {text_of(offset)}")
    kind = dtype.name.removeprefix("torch.") if isinstance(dtype, Record) else storage.dtype
    return stored(storage.source, kind, storage.start + offset, shape, strides, storage.order)


def _tensor_v3(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    bits: Any = None,
) -> Any:
    """As `_tensor`, of a storage that does not say what it holds."""
    return _tensor(storage, offset, shape, strides, requires_grad, hooks, bits, dtype)


def _from_type(function: Any, kind: Any, args: Any, _state: Any) -> Any:
    """A tensor of a class of its own, such as a buffer."""
    name = function.name if isinstance(function, Record) else ""
    return TENSORS[name](*args) if name in TENSORS else Record(text_of(kind), (function, args))


# -- numpy ---------------------------------------------------------------------------------------


def _numbers(dtype: Any, shape: Any, fortran: Any, data: Any) -> Stored:
    """An array of bytes in memory. Raises InvalidInput unless its shape fits them."""
    code, order = text_of(dtype), "<"
    if isinstance(dtype, Record) and dtype.args and isinstance(dtype.args[0], str):
        code, state = dtype.args[0], dtype.fields.get("state")
        order = ">" if isinstance(state, tuple) and state[1:2] == (">",) else "<"
    source = Held(data if isinstance(data, bytes | str) else b"")
    name = OF_NUMPY.get(code, f"numpy's {text_of(code)}")
    if not isinstance(shape, tuple) or not natural(*shape):
        raise InvalidInput("", f"has an array of no shape: {text_of(shape)}")
    return stored(source, name, 0, shape, contiguous(shape, bool(fortran)), order)


class Unfilled(Stored):
    """An array of numpy whose numbers follow."""

    def __init__(self, *_: Any) -> None:
        super().__init__(
            "nothing", (0,), id(self), lambda: _numbers("nothing", (0,), 0, b"").fetch()
        )

    def set_state(self, state: Any) -> None:
        """Become the array: (version, shape, dtype, whether the first axis is next, bytes)."""
        _, shape, dtype, fortran, data = state
        found = _numbers(dtype, shape, fortran, data)
        self.dtype, self.shape, self.place, self.fetch = vars(found).values()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    found = _numbers(dtype, (), False, data)
    return found.fetch().item() if found.dtype in NUMPY else Record("numpy.generic", (dtype,))


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Stored:
    return _numbers(dtype, shape, order == "F", data)


TENSORS: Mapping[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
}
TENSOR_BUILDERS: Mapping[str, Builder] = {
    **TENSORS,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    **{
        f"numpy.{core}.{name}": builder
        for core in ("core", "_core")
        for name, builder in (
            ("multiarray._reconstruct", Unfilled),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
