"""Negotiation and the plain formats."""

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
    """A header line, one line a row, None as an empty field, and nothing for no rows."""
    assert csv_bytes([{"step": 0, "share": 0.25}, {"step": 1, "share": None}]) == (
        b"step,share\n0,0.25\n1,\n"
    )
    assert csv_bytes([]) == b"\n"
