"""Pickles read as data: nothing in one is ever imported, called or rebuilt.

A pickle is a program for a small machine with a stack. This one runs it on values that can do
nothing (plain_values.py): what it would import is a name, what it would call makes a Record, and
the few names that mean plain data or a tensor are made by builders of ours.

The time and the memory that a pickle takes are in proportion to a budget: each operation costs
OPERATION bytes of it, and what is written or copied its size.
"""

import pickletools
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, BinaryIO

from grokprobe.errors import InvalidInput
from trainer.importing.plain_values import (
    BUILDERS,
    Builder,
    Record,
    name_of,
    named,
    put,
    text_of,
)

OPERATION = 128  # bytes of what an operation makes beside its argument
RECORD = 384  # bytes, and those of its name, of a record
LARGEST = 1 << 2048  # no integer is as large
GAP = 1024  # numbers of memory that a pickle may leave out


class Machine:
    """The machine on which pickles run; `load` gives what a persistent name stands for."""

    def __init__(
        self,
        budget: int,
        builders: Mapping[str, Builder] = MappingProxyType({}),
        load: Callable[[Any], Any] | None = None,
    ) -> None:
        self._left, self._budget = budget, budget
        self._builders, self._load = {**BUILDERS, **builders}, load
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: list[Any] = []

    def run(self, stream: BinaryIO) -> Any:
        """The value of the next pickle of a stream.

        Raises InvalidInput for what is not read, and anything for a pickle that is broken.
        """
        self._stack, self._marks, self._memo = [], [], []
        for operation, argument, _ in pickletools.genops(stream):
            step = STEPS.get(operation.name)
            if step is None:
                raise InvalidInput("", f"needs {operation.name}, which a file alone cannot give")
            self._spend(OPERATION + (sys.getsizeof(argument) if argument is not None else 0))
            step(self, argument)
        return self._stack.pop()

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise InvalidInput("", f"holds more than {self._budget} bytes of objects")

    def _spend_on(self, value: Any) -> None:
        """Pay for a value that was made, or will be, from one that stays."""
        if isinstance(value, dict | list | tuple):
            self._spend(OPERATION * len(value))
        elif isinstance(value, bytes):
            self._spend(len(value))

    def put(self, *values: Any) -> None:
        """Put values on the stack."""
        self._stack.extend(values)

    def put_plain(self, value: Any) -> None:
        """Put a number, a text or bytes on the stack, as the pickle writes them."""
        if isinstance(value, int) and abs(value) >= LARGEST:
            raise InvalidInput("", "holds an integer of more than 2048 bits")
        self.put(bytes(value) if isinstance(value, bytearray) else value)

    def take(self, count: int) -> list[Any]:
        """Take values off the stack, in the order in which they were put there."""
        return [self._stack.pop() for _ in range(count)][::-1]

    def mark(self) -> None:
        """Begin a list of values."""
        self._marks.append(self._stack)
        self._stack = []

    def marked(self) -> list[Any]:
        """Take the values since the last mark."""
        items, self._stack = self._stack, self._marks.pop()
        return items

    def pop(self) -> None:
        """Drop the top of the stack, be it a value or a mark."""
        if self._stack:
            self._stack.pop()
        else:
            self.marked()

    def remember(self, number: int | None) -> None:
        """Keep the top of the stack under a number, the next if there is none."""
        size = len(self._memo)
        number = size if number is None else number
        if not 0 <= number <= size + GAP:
            raise InvalidInput("", f"keeps {size} values and numbers the next {text_of(number)}")
        self._spend(8 * max(0, number - size))
        self._memo += [None] * (number + 1 - size)
        self._memo[number] = self._stack[-1]

    def recall(self, number: int) -> None:
        """Put on the stack what is kept under a number."""
        if number < 0:
            raise InvalidInput("", f"recalls the value {text_of(number)}")
        self.put(self._memo[number])

    def set_items(self, items: list[Any]) -> None:
        """Put keys, each with its value, into the dictionary on top of the stack."""
        target = self._stack[-1]
        fields = target.fields if isinstance(target, Record) else target
        if not isinstance(fields, dict):
            raise InvalidInput("", f"puts keys into {text_of(target)}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            put(fields, key, value)

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top of the stack."""
        target = self._stack[-1]
        found = target.items if isinstance(target, Record) else target
        if not isinstance(found, list):
            raise InvalidInput("", f"appends to {text_of(target)}")
        found.extend(items)

    def name(self, module: Any, name: Any) -> None:
        """Put on the stack what stands for a class or a function."""
        self._spend(RECORD)
        self.put(named(module, name))

    def make(self, kind: Any, args: Any, state: Any = None) -> None:
        """Put on the stack what a call would have made: plain data, or a record."""
        if not isinstance(args, tuple):
            raise InvalidInput("", f"calls {name_of(kind)} with {text_of(args)}")
        known = isinstance(kind, Record) and kind.args is None
        if known and (builder := self._builders.get(kind.name)):
            made = builder(*args)
            self._spend_on(made)
            self.put(made)
            return
        made = Record(name_of(kind), args)
        self._spend(RECORD + len(made.name))
        self._fill(made, state)
        self.put(made)

    def build(self, state: Any) -> None:
        """Give the object on top of the stack its state."""
        made = self._stack[-1]
        if isinstance(made, Record):
            slots = isinstance(state, tuple) and len(state) == 2
            for part in state if slots else (state,):
                self._fill(made, part)
        elif hasattr(made, "set_state"):
            made.set_state(state)

    def _fill(self, made: Record, state: Any) -> None:
        if isinstance(state, dict):
            self._spend_on(state)
            made.fields.update(state)
        elif state is not None:
            made.fields["state"] = state

    def refer(self, name: Any) -> None:
        """Put on the stack what a persistent name stands for."""
        if self._load is None:
            raise InvalidInput("", "refers to objects outside itself")
        self.put(self._load(name))


Step = Callable[[Machine, Any], None]


def _instance(machine: Machine, names: str) -> None:
    args = tuple(machine.marked())
    machine.name(*names.split(" ", 1))
    [kind] = machine.take(1)
    machine.make(kind, args)


def _new_dict(machine: Machine) -> None:
    items = machine.marked()
    machine.put({})
    machine.set_items(items)


def _call(machine: Machine, kind: Any, *args: Any) -> None:
    machine.make(kind, args)


def _steps(names: str, step: Step) -> dict[str, Step]:
    return dict.fromkeys(names.split(), step)


# What each operation does, by its name in pickletools. Missing are those that take objects from
# another program (EXT1, EXT2, EXT4, NEXT_BUFFER, READONLY_BUFFER) and PERSID, which torch never
# writes.
STEPS: Mapping[str, Step] = {
    **_steps("PROTO FRAME STOP", lambda _, __: None),
    **_steps("INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT", Machine.put_plain),
    **_steps("STRING BINSTRING SHORT_BINSTRING UNICODE", Machine.put_plain),
    **_steps("SHORT_BINUNICODE BINUNICODE BINUNICODE8", Machine.put_plain),
    **_steps("SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8", Machine.put_plain),
    "NONE": lambda machine, _: machine.put(None),
    "NEWTRUE": lambda machine, _: machine.put(True),
    "NEWFALSE": lambda machine, _: machine.put(False),
    **_steps("EMPTY_LIST EMPTY_SET", lambda machine, _: machine.put([])),
    "EMPTY_DICT": lambda machine, _: machine.put({}),
    "EMPTY_TUPLE": lambda machine, _: machine.put(()),
    "TUPLE1": lambda machine, _: machine.put(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.put(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.put(tuple(machine.take(3))),
    "TUPLE": lambda machine, _: machine.put(tuple(machine.marked())),
    **_steps("LIST FROZENSET", lambda machine, _: machine.put(machine.marked())),
    "DICT": lambda machine, _: _new_dict(machine),
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.marked().clear(),
    "DUP": lambda machine, _: machine.put(*machine.take(1) * 2),
    **_steps("PUT BINPUT LONG_BINPUT MEMOIZE", Machine.remember),
    **_steps("GET BINGET LONG_BINGET", Machine.recall),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    **_steps("APPENDS ADDITEMS", lambda machine, _: machine.extend(machine.marked())),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.marked()),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*machine.take(2)),
    **_steps("REDUCE NEWOBJ", lambda machine, _: machine.make(*machine.take(2))),
    "NEWOBJ_EX": lambda machine, _: machine.make(*machine.take(3)),
    "INST": _instance,
    "OBJ": lambda machine, _: _call(machine, *machine.marked()),
    "BUILD": lambda machine, _: machine.build(*machine.take(1)),
    "BINPERSID": lambda machine, _: machine.refer(*machine.take(1)),
}
