"""Objects that a hostile writer of the bucket could put in the place of sound ones."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from grokprobe.store.archive.npy import encode_npy
from grokprobe.store.archive.split import encode_split
from grokprobe.store.records import Record, encode_record
from tests.support.tiny import answering, tiny_run

DEEP = 200_000
HUGE = 10**30
Plain = dict[str, Any]

RUN = tiny_run()
MANIFEST = RUN.checkpoints[1][0]


def plain(record: Record) -> Plain:
    """A record as plain values."""
    found: Plain = msgspec.json.decode(encode_record(record))
    return found


def changed(record: Record, place: str, value: Any) -> bytes:
    """The bytes of a record with another value at a dotted place."""
    values = plain(record)
    *parents, last = place.split(".")
    inner = values
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return msgspec.json.encode(values)


def nested(levels: int) -> Any:
    """A dictionary in a dictionary and so on."""
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


NO_JSON: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\x00\xff\xfe",
    "null": b"null",
    "a list": b"[]",
    "deep lists": b"[" * DEEP,
    "deep in an unknown field": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep dictionaries": b'{"config":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "numbers without an end": b'{"config":[' + b"1," * (2**25) + b"1]}",
    "NaN": b'{"step":NaN}',
    "infinity": b'{"step":1e999}',
    "lone surrogate": b'{"run":"\\ud800"}',
    "bytes of a surrogate": b'{"run":"\xed\xa0\x80"}',
    "integer of 5000 digits": b'{"step":' + b"9" * 5000 + b"}",
    "UTF-16": '{"step":1}'.encode("utf-16"),
    "format version of a later program": b'{"format_version":2}',
    "format version of a dream": b'{"format_version":' + b"9" * 400 + b"}",
}

OF_ANY: dict[str, tuple[str, Any]] = {
    "another run's": ("run", "another"),
    "a path for a name": ("run", "../../etc"),
    "a moment of year 99999": ("created_at", "99999-01-01T00:00:00Z"),
    "a moment of year 1": ("created_at", "0001-01-01T00:00:00+23:59"),
    "a moment of no zone": ("created_at", "2026-01-01T00:00:00"),
}

OF_RUN: dict[str, tuple[str, Any]] = {
    "p = 2^40": ("task.modulus", 2**40),
    "p of 100 digits": ("task.modulus", 10**100),
    "p = 0": ("task.modulus", 0),
    "p = -7": ("task.modulus", -7),
    "p of no group": ("task.modulus", 4),
    "an operation of nobody": ("task.operation", "xor"),
    "s5 of 7 elements": ("task.operation", "s5"),
    "a split known in part": ("task.train_pairs", None),
    "more pairs than there are": ("task.train_pairs", 2**50),
    "a fraction above 1": ("task.train_fraction", 1e30),
    "a digest that is none": ("task.split_sha256", "0" * 63 + "\n"),
    "a seed of 100 digits": ("seed", 10**100),
    "a group that is no name": ("group", "a/b"),
    "a configuration 40 deep": ("config", nested(40)),
    "an architecture 900 deep": ("architecture", nested(900)),
    "an integer of 1000 digits inside": ("config", {"a": [10**1000]}),
    "a text of 100 kB inside": ("config", {"a": "x" * 100_000}),
    "a name of 1 kB inside": ("config", {"x" * 1000: 1}),
    "a configuration that is a list": ("config", []),
}

OF_CHECKPOINT: dict[str, tuple[str, Any]] = {
    "another step's": ("step", 11),
    "a step of 1e30": ("step", HUGE),
    "a step below 0": ("step", -1),
    "a million measures": ("measures", {f"m{i}": 1.0 for i in range(10**6)}),
    "a thousand and one measures": ("measures", {f"m{i}": 1.0 for i in range(1001)}),
    "a measure of 1e300": ("measures", {"test_loss": 1e300}),
    "a measure that is a list": ("measures", {"test_loss": [1.0]}),
    "a measure of no name": ("measures", {"": 1.0}),
    "a measure with a long name": ("measures", {"x" * 1000: 1.0}),
    "a file of -1 bytes": ("model.bytes", -1),
    "a file of 2^60 bytes": ("model.bytes", 2**60),
    "a digest of another kind": ("model.sha256", "A" * 64),
    "a digest with a new line": ("model.sha256", "a" * 64 + "\n"),
    "predictions of -1 bytes": ("predictions", {"sha256": "a" * 64, "bytes": -1}),
    "predictions of 2^40 bytes": ("predictions", {"sha256": "a" * 64, "bytes": 2**40}),
    "predictions of no digest": ("predictions", {"sha256": "", "bytes": 177}),
    "predictions of another kind": ("predictions", [1, 2, 3]),
    "a thousand outputs": ("model.outputs", ["logits"] * 1000),
    "a spectrum without an end": ("spectrum.power", [1.0] * 100_000),
    "a power below 0": ("spectrum.power", [1.0, -1.0, 1.0]),
    "a constant of 1e200": ("spectrum.constant_power", 1e200),
    "keys of frequency 0": ("own_keys", None),  # completed below
}
KEYS: Plain = {
    "frequencies": [1, 2],
    "rule": "logits",
    "threshold": 0.9,
    "source_step": 10,
    "margin": [None, None],
}
TRACES: Plain = {
    "estimate": 1.0,
    "standard_error": 1.0,
    "refused": None,
    "hyperparameters": {},
    "traces": [[1.0, 2.0], [1.0]],
}
OF_CHECKPOINT |= {
    "keys of frequency 0": ("own_keys", KEYS | {"frequencies": [0]}),
    "keys that come twice": ("own_keys", KEYS | {"frequencies": [2, 2]}),
    "keys of 1e30": ("own_keys", KEYS | {"frequencies": [HUGE]}),
    "traces of two lengths": ("local_learning_coefficient", TRACES),
}
# What a manifest alone cannot tell: p is 7 here, so that there are 3 frequencies.
OF_ANOTHER_RUN: dict[str, tuple[str, Any]] = {
    "a spectrum too short": ("spectrum.power", [1.0]),
    "a spectrum too long": ("spectrum.power", [1.0] * 5),
    "an empty spectrum": ("spectrum.power", []),
    "keys of another basis": ("own_keys", KEYS | {"frequencies": [1, 100]}),
    "another split": ("split_sha256", "0" * 64),
    "no split": ("split_sha256", None),
}

MEASURED = [{"step": step, "measures": {"key_share": 0.5}} for step in (0, 10, 200)]
OF_COMPLETION: dict[str, tuple[str, Any]] = {
    "a status of nobody": ("status", "running"),
    "a step of 1e30": ("step", HUGE),
    "checkpoints out of order": ("checkpoints", MEASURED[::-1]),
    "a checkpoint twice": ("checkpoints", MEASURED[:1] * 2),
    "keys of 1e9": ("keys", KEYS | {"frequencies": [10**9]}),
    "a reason without an end": ("reason", "x" * 10_000),
    "measures of a list": ("checkpoints", [{"step": 0, "measures": [1]}]),
    "a thousand nulls": (
        "nulls",
        [
            {"statistic": "gini", "permutations": 1, "observed": 1, "mean": 1, "std": 1}
            | {"max": 1, "p999": None, "z": None, "p_value": 1, "seed": 0}
        ]
        * 1000,
    ),
}
COMPLETION_OF_ANOTHER_RUN: dict[str, tuple[str, Any]] = {
    "keys of another basis": ("keys", KEYS | {"frequencies": [1, 100]}),
}

SOUND = encode_split(RUN.train_mask)
SPLITS: dict[str, bytes] = {
    "nothing": b"",
    "no npy": b"PK\x03\x04",
    "a shape of 2^60": SOUND.replace(b"(49,)", b"(1152921504606846976,)"),
    "a shape below 0": SOUND.replace(b"(49,)", b"(-1,)"),
    "a shape of True": SOUND.replace(b"(49,), ", b"(True,)"),
    "a deep header": SOUND[:8] + (9000).to_bytes(2, "little") + b"(" * 9000,
    "a header without an end": SOUND[:6] + b"\x02\x00" + (2**31).to_bytes(4, "little") + b"{",
    "a version of nobody": SOUND[:6] + b"\x09\x00" + SOUND[8:],
    "objects": SOUND.replace(b"'|b1'", b"'|O' "),
    "records": SOUND.replace(b"'|b1'", b"'V99'"),
    "bytes that are no bool": SOUND[:-49] + b"\x02" * 49,
    "a byte more": SOUND + b"\0",
    "a byte less": SOUND[:-1],
    "two dimensions": encode_split(np.ones((7, 7), np.bool_)),
    "all its pairs": encode_split(np.ones(49, np.bool_)),
    "16 MB": SOUND + bytes(2**24),
}
ANSWERING = answering(RUN)
PREDICTED = ANSWERING.predictions[10]
PREDICTIONS: dict[str, bytes] = {
    name: data if name == "a deep header" else data.replace(b"'|b1'", b"'|u1'")
    for name, data in SPLITS.items()
    if name not in ("objects", "records", "bytes that are no bool", "all its pairs")
} | {
    "objects": PREDICTED.replace(b"'|u1'", b"'|O' "),
    "signed": PREDICTED.replace(b"'|u1'", b"'|i1'"),
    "wider": encode_npy(np.zeros(49, "<u2")),
    "bool": SOUND,
    "fewer pairs": encode_npy(np.zeros(48, np.uint8)),
    "what is no residue": encode_npy(np.full(49, 7, np.uint8)),
}


def bytes_of(record: Record, changes: dict[str, tuple[str, Any]]) -> dict[str, Callable[[], bytes]]:
    """The bytes of each change, made when they are asked for."""
    return {
        name: lambda place=place, value=value: changed(record, place, value)  # type: ignore[misc]
        for name, (place, value) in changes.items()
    }


def always(data: dict[str, bytes]) -> dict[str, Callable[[], bytes]]:
    """Bytes that are there already."""
    return {name: lambda found=found: found for name, found in data.items()}  # type: ignore[misc]


RUNS = always(NO_JSON) | bytes_of(RUN.manifest, OF_ANY | OF_RUN)
MANIFESTS = always(NO_JSON) | bytes_of(MANIFEST, OF_ANY | OF_CHECKPOINT)
COMPLETIONS = always(NO_JSON) | bytes_of(RUN.completion, OF_ANY | OF_COMPLETION)
