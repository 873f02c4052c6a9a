"""What a value of a published record may be: far from what any trainer writes, and such that sums,
squares and tables of what is within bounds stay finite and small.
"""

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from grokprobe.task import MAX_MODULUS

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

Step = Annotated[int, msgspec.Meta(ge=0, lt=10**10)]  # ten digits in an object's name
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
ModelBytes = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]  # what a protobuf message can have
PredictionsBytes = Annotated[int, msgspec.Meta(ge=0, le=2 * MAX_MODULUS**2 + 2**16)]
StateBytes = Annotated[int, msgspec.Meta(ge=0, le=2**33)]
Number = Annotated[float, msgspec.Meta(ge=-1e100, le=1e100)]
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
RunName = Annotated[str, msgspec.Meta(pattern=f"^{RUN_NAME.pattern}$", max_length=63)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Modulus = Annotated[int, msgspec.Meta(ge=3, le=MAX_MODULUS)]
Powers = Annotated[list[Number], msgspec.Meta(max_length=MAX_MODULUS // 2)]
Frequency = Annotated[int, msgspec.Meta(ge=1, le=MAX_MODULUS // 2)]
Frequencies = Annotated[list[Frequency], msgspec.Meta(max_length=MAX_MODULUS // 2)]
Measure = Number | None | dict[Word, Number]  # a scalar, or one value a key frequency
MAX_MEASURES = 1000  # of one checkpoint
Measures = Annotated[dict[Word, Number | None], msgspec.Meta(max_length=MAX_MEASURES)]
KeyMeasures = Annotated[dict[Word, Measure], msgspec.Meta(max_length=MAX_MEASURES)]
Traces = Annotated[
    list[Annotated[list[Number], msgspec.Meta(max_length=4096)]], msgspec.Meta(max_length=64)
]
Numbers = Annotated[dict[Word, Number], msgspec.Meta(max_length=100)]
Words = Annotated[list[Word], msgspec.Meta(max_length=100)]
Facts = dict[Word, Text | Integer]

# Of plain values, which have no type: architecture, optimiser, configuration.
MAX_DEPTH = 32
MAX_TEXT = 2**16
MAX_KEY = 200
INTEGERS = range(-(2**63), 2**64)

# Of a whole record.
VALUE_BYTES = 16  # of text, at least, for each of its values
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
