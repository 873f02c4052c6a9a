"""Hostile pickles: `python -m tests.support.hostile N` reads N of them under an audit hook.

Some are made by hand, the others mutate them and what torch and pickle really write. Each is read
as a file, or as an archive of torch; whatever the interpreter reports meanwhile, but for that file
being opened, is a failure: an import, a call of the system, a compilation.
"""

import io
import os
import pickle
import pickletools
import random
import resource
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grokprobe.errors import InvalidInput
from tests.support.foreign import small
from trainer.importing.files import Contents, read_contents
from trainer.importing.plain_values import text_of

BUDGET = 2**20
OPERATIONS = [operation.code.encode("latin-1") for operation in pickletools.opcodes]
CALLS = [b"cposix\nmkdir\n", b"cbuiltins\nexec\n", b"cbuiltins\ngetattr\n", b"cos\nsystem\n"]
MANY = 9_000


class Evil:
    """What a pickle can do to whoever loads it."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def number(value: int) -> bytes:
    """A 4-byte length."""
    return struct.pack("<I", value)


def by_hand() -> dict[str, bytes]:
    """Pickles that aim at a weakness of a reader, by what they try."""
    dictionary = b"}(" + b"".join(b"J" + number(n) + b"N" for n in range(999)) + b"u"
    copies = b"\x80\x02cx\ny\nq\0" + dictionary + b"q\x010"
    return {
        "global": b"cposix\nmkdir\n(X\x08\0\0\0executedtR.",
        "inst": b"(S'executed'\niposix\nmkdir\n.",
        "obj": b"(cposix\nmkdir\nX\x08\0\0\0executedo.",
        "newobj": b"\x80\x02cposix\nmkdir\nX\x08\0\0\0executed\x85\x81.",
        "newobj_ex": b"\x80\x04cposix\nmkdir\nX\x08\0\0\0executed\x85}\x92.",
        "stack global": b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93\x8c\x08executed\x85R.",
        "global of a dotted name": b"\x80\x04\x8c\x02os\x8c\x0dpath.__dict__\x93)R.",
        "global of no text": b"\x80\x04K\x01K\x02\x93)R.",
        "global through memory": b"\x80\x04\x8c\x05posix\x94\x8c\x05mkdir\x94h\0h\1\x93)R.",
        "import by name": b"cbuiltins\n__import__\n(X\x0b\0\0\0antigravitytR.",
        "call of what was called": b"cbuiltins\ngetattr\n(cos\nsystem\nX\x01\0\0\0atR)R)R.",
        "builder with what is not its own": b"ctorch._utils\n_rebuild_tensor_v2\n(NK\1)]NNtR.",
        "parameter of itself": b"ctorch._utils\n_rebuild_parameter\n(ctorch\nTensor\nNNtRb.",
        "list of a number": b"cbuiltins\nlist\nI9\n\x85R.",
        "tuple of a dictionary": b"cbuiltins\ntuple\n}\x85R.",
        "state for a class": b"cbuiltins\nobject\n}X\x09\0\0\0__class__Nsb.",
        "state of attributes": b"cx\ny\n)R}X\x08\0\0\0__dict__}sb.",
        "state of slots": b"cx\ny\n)RN}X\x09\0\0\0__class__Ns\x86b.",
        "state of an array": b"cnumpy.core.multiarray\n_reconstruct\n)R(K\1K\1NNNtb.",
        "registry": b"\x80\x02\x82\x01.",
        "buffer": b"\x80\x05\x97\x98.",
        "persistent text": b"Pstorage\n.",
        "persistent number": b"K\x01Q.",
        "persistent class": b"(X\x06\0\0\0modulecposix\nmkdir\nNNtQ)R.",
        "storage of no class": b"(X\7\0\0\0storagecposix\nmkdir\nX\1\0\0\x000X\3\0\0\0cpuK\1tQ.",
        "integer": b"\x8b" + number(MANY) + b"\x7f" * MANY + b".",
        "decimal integer": b"L" + b"9" * MANY + b"L\n.",
        "bytes that are not there": b"\x8e" + struct.pack("<Q", 2**62) + b".",
        "text that is not there": b"\x8d" + struct.pack("<Q", 2**40) + b".",
        "frame that is not there": b"\x80\x04\x95" + struct.pack("<Q", 2**63 - 1) + b"N.",
        "far memory": b"Nr\xff\xff\xff\x7f.",
        "memory of no number": b"Np-1\n0g-1\n.",
        "deep tuple": b")" + b"\x85" * MANY + b".",
        "deep list": b"]" * MANY + b"a" * (MANY - 1) + b".",
        "deep dictionary": b"}" + b"}X\1\0\0\0a" * MANY + b"s" * MANY + b".",
        "deep marks": b"(" * MANY + b".",
        "deep key": b"}" + b")" + b"\x85" * (MANY // 2) + b"Ns.",
        "key of a list": b"}]Ns.",
        "key of itself": b"}2Ns.",
        "keys of one hash": b"}("
        + b"".join(b"\x8a\x09" + (n * (2**61 - 1)).to_bytes(9, "little") + b"N" for n in range(900))
        + b"u.",
        "key of two lines": b"}X\x07\0\0\0a\n\x1b[31mK\1s.",
        "class of two lines": b"\x80\x04\x8c\x03a\nb\x8c\x03\x1b[m\x93)R.",
        "long class": b"c" + b"a" * MANY + b"\nb\n.",
        "long key": b"}X" + number(MANY) + b"a" * MANY + b"}s.",
        "list in itself": b"]q\0h\0a.",
        "dictionary in itself": b"}q\0X\1\0\0\0ah\0s.",
        "record in itself": b"cx\ny\n)Rq\0}X\x08\0\0\0_modules}X\1\0\0\0ah\0ssb.",
        "laughs": b"]q\0"
        + b"".join(b"](" + (b"h" + bytes([n])) * 9 + b"eq" + bytes([n + 1]) for n in range(200))
        + b".",
        "laughing dictionaries": b"}q\0"
        + b"".join(
            b"}("
            + b"".join(b"X\1\0\0\0" + k + b"h" + bytes([n]) for k in (b"a", b"b"))
            + b"uq"
            + bytes([n + 1])
            for n in range(200)
        )
        + b".",
        "copies of a dictionary": copies + b"(" + b"h\0)\x81h\1b" * MANY + b"t.",
        "copies by a builder": b"ccollections\nOrderedDict\nq\0"
        + dictionary
        + b"q\1("
        + b"h\0h\1\x85R" * MANY
        + b"t.",
        "many ranges": b"cbuiltins\nrange\nq\0M\x10\x27\x85q\1(" + b"h\0h\1R" * MANY + b"t.",
        "copies of an array's text": b"cnumpy.core.multiarray\n_reconstruct\nq\0(K\1K\x09\x85N\x89X"
        + number(MANY)
        + b"a" * MANY
        + b"tq\1("
        + b"h\0)Rh\1b" * MANY
        + b"t.",
        "copies of a text": b"c_codecs\nencode\nq\0X"
        + number(MANY)
        + b"a" * MANY
        + b"\x85q\1("
        + b"h\0h\1R" * MANY
        + b"t.",
        "copies of a list": b"cbuiltins\nlist\nq\0("
        + b"N" * 999
        + b"t\x85q\1("
        + b"h\0h\1R" * MANY
        + b"t.",
        "many lists": b"(" + b"]" * (4 * MANY) + b"t.",
        "many classes": b"(" + b"ca\nb\n" * MANY + b"t.",
        "chain of calls": b"cx\ny\n" + b")R" * MANY + b".",
        "no end": b"N" * 9,
        "nothing on the stack": b"R.",
        "odd items": b"}(Nu.",
        "two ends": b"N.cposix\nmkdir\n.",
    }


def really_written() -> Iterator[bytes]:
    """What pickle and torch write of plain values, tensors, arrays and objects."""
    tensors = {
        "W": torch.ones(3, 2),
        "h": torch.ones(2, dtype=torch.bfloat16),
        "n": torch.tensor(3),
    }
    array = {"a": np.arange(6.0).reshape(2, 3), "s": np.float32(2), "o": np.array([None])}
    plain = [1, 2.5, "x", b"y", {1, 2}, (3, (4, None)), {"a": [True]}, 1 << 70]
    evil = Evil(os.mkdir, "executed")
    values = [plain, array, OrderedDict(model=evil), {"a": Counter("abc"), "b": Evil(exec, "1")}]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield from (pickle.dumps(value, protocol) for value in values)
    for value in ({"model": tensors, "config": evil, "step": 3}, small()):
        for as_archive in (True, False):
            buffer = io.BytesIO()
            torch.save(value, buffer, _use_new_zipfile_serialization=as_archive)
            yield buffer.getvalue()


def pickle_within(data: bytes) -> bytes:
    """The pickle of an archive; anything else as it is."""
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read("archive/data.pkl")


def mutated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A pickle with one to four changes."""
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(data) + 1), rng.randint(1, 9)
        new = rng.choice(
            [
                rng.randbytes(length),
                rng.choice(OPERATIONS),
                rng.choice(CALLS),
                b"".join(rng.choices(OPERATIONS, k=length)),
                other[at : at + 4 * length],
                number(rng.getrandbits(32)),
                b"",
            ]
        )
        data = data[:at] + new + data[at + rng.choice([0, len(new), length]) :]
    return data if rng.random() < 0.9 else data[: rng.randrange(len(data) + 1)]


def archive_of(data: bytes) -> bytes:
    """An archive of torch around a pickle, with two storages."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, entry in {"data.pkl": data, "data/0": bytes(24), "data/1": bytes(8)}.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), entry)
    return buffer.getvalue()


def corpus(count: int) -> Iterator[bytes]:
    """So many hostile files, always the same."""
    rng = random.Random(0)
    hand, written = list(by_hand().values()), list(really_written())
    yield from hand
    yield from map(archive_of, hand)
    bases = [data for data in [*hand, *map(pickle_within, written)] if len(data) < 4096]
    for n in range(count - 2 * len(hand)):
        data = mutated(rng, rng.choice(bases), rng.choice(bases))
        yield archive_of(data) if n % 8 == 0 else data


def use(contents: Contents) -> None:
    """All that an import and `--inspect` would do with what was read."""
    for name in contents.names()[:50]:
        for ask in (contents.value, lambda name: contents.states(name, ())):
            try:
                text_of(ask(name))
            except InvalidInput as error:
                check(error)


def check(error: InvalidInput) -> None:
    """Fail unless an error is one short line."""
    assert str(error).isprintable(), error
    assert len(str(error)) < 2000, error


def main() -> None:
    """Read so many hostile files; print how many were refused, and the memory that it took."""
    path = Path("hostile.pt").absolute()
    refused: Counter[str] = Counter()
    alarms: list[str] = []
    watching = False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        ours = event == "open" and args[0] in (path, str(path))
        if watching and not ours and event != "builtins.id":
            alarms.append(f"{event} {args!r:.200}")

    sys.addaudithook(hook)
    files = list(corpus(int(sys.argv[1])))
    first = [*really_written(), archive_of(b"N."), b"U"]  # by which libraries import what they need
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number_of, data in enumerate([*first, *files]):
        path.write_bytes(data)
        watching = number_of >= len(first)
        try:
            use(read_contents(path, BUDGET))
        except InvalidInput as error:
            watching = False
            check(error)
            refused[str(error).removeprefix(f"{path}: ")[:20]] += 1
        watching = False
        assert not alarms, (data, alarms)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(len(files), refused.total(), grown // 1024)


if __name__ == "__main__":
    main()
