"""The table of a group: a column for every field that differs, whatever it holds."""

from typing import Any

import pytest

from service.formats.registry import FORMATS
from service.v1.group_answer import answer_group, differing, table_of_group
from tests.service.test_api_formats import READERS
from tests.support.grouped import silent_member


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([True, False], "bool", [True, False]),
        ([1, 2], "int64", [1, 2]),
        ([1, None], "int64", [1, None]),
        ([2**62, 0], "int64", [2**62, 0]),
        ([1, 0.5], "double", [1.0, 0.5]),
        ([1e-3, None], "double", [1e-3, None]),
        (["adamw", "sgd"], "string", ["adamw", "sgd"]),
        ([[0.9, 0.98], []], "string", ["[0.9,0.98]", "[]"]),
        ([1, True], "string", ["1", "true"]),
        ([1, "auto"], "string", ["1", "auto"]),
        ([2**63, 1], "string", ["9223372036854775808", "1"]),
        ([2**60 + 1, 0.5], "string", ["1152921504606846977", "0.5"]),
    ],
)
def test_columns_of_a_configuration(values: list[Any], kind: str, cells: list[Any]) -> None:
    """Numbers stay numbers where one column holds them all exactly; all else is JSON."""
    answer = answer_group("g", [silent_member(str(i), {"a.b": v}) for i, v in enumerate(values)])
    assert [member.config for member in answer.members] == [{"a.b": v} for v in values]
    for chosen in ("csv", *READERS):
        data = FORMATS[chosen].encode(answer, table_of_group(answer), None)
        if chosen in READERS:
            found = READERS[chosen](data)
            assert str(found.schema.field("config.a.b").type) == kind
            assert found["config.a.b"].to_pylist() == cells


def test_what_differs() -> None:
    """Compared as JSON, so that 1 and 1.0 and true are three; in the order of the first."""
    same = {"z": 1, "a": [1, 2], "n": None}
    assert differing([]) == differing([same]) == differing([same, dict(same)]) == []
    assert differing([same, {"z": 1.0, "a": [1, 2]}, {"b": 0, **same}]) == ["z", "n", "b"]
    assert differing([{"a": 1}, {"a": True}]) == ["a"]


def test_nobody() -> None:
    """All members were deleted while they were read: an answer of nobody."""
    answer = answer_group("g", [])
    assert (answer.members, answer.provisional, answer.differing) == ([], False, [])
    assert table_of_group(answer).rows == []
    assert answer.distribution.delay.of == 0
