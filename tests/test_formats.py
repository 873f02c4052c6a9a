"""Negotiation and the plain formats."""

from typing import Any

import pytest

from service.errors import FormatNotOffered
from service.formats import csv_bytes, negotiate


@pytest.mark.parametrize(
    ("asked", "accept", "expected"),
    [
        (None, "", "json"),
        (None, "*/*", "json"),
        ("csv", "application/json", "csv"),
        (None, "text/csv", "csv"),
        (None, "text/csv;q=0.5, application/json;q=0.9", "json"),
        (None, "application/json;q=0.5, text/*", "csv"),
        (None, "image/png, text/csv;q=0.1", "csv"),
        (None, "TEXT/CSV", "csv"),
        (None, "text/csv;q=high, application/json", "json"),
        (None, "application/json;q=0, */*", "csv"),
        (None, "text/csv;Q=0.1, application/json;q=0.5", "json"),
        (None, "text/csv, application/json", "json"),
    ],
)
def test_negotiate(asked: str | None, accept: str, expected: str) -> None:
    """`format` first, then Accept by quality, then the resource's default."""
    assert negotiate(asked, accept, ["json", "csv"]) == expected


@pytest.mark.parametrize(("asked", "accept"), [("xml", ""), (None, "image/png"), (None, "*/*;q=0")])
def test_nothing_on_offer(asked: str | None, accept: str) -> None:
    """What is not on offer is refused, the offers listed."""
    with pytest.raises(FormatNotOffered, match="json"):
        negotiate(asked, accept, ["json", "csv"])


def test_csv() -> None:
    """A header line even without rows, one line a row, None empty, booleans as in JSON."""
    rows: list[dict[str, Any]] = [
        {"step": 0, "share": 0.25, "more": [1]},
        {"step": 1, "share": None},
    ]
    assert csv_bytes(rows, ["step", "share"]) == b"step,share\n0,0.25\n1,\n"
    assert csv_bytes([{"hit": True}], ["hit"]) == b"hit\ntrue\n"
    assert csv_bytes([], ["step", "share"]) == b"step,share\n"
