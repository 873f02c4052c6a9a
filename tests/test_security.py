"""SECURITY.md: each promise names tests that are there, and nobody's address is invented."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text()
PROMISED = TEXT.partition("## What is promised")[2].partition("## What is not promised")[0]
PROMISES = [" ".join(part.split()) for part in re.split(r"\n- ", PROMISED)[1:]]


@pytest.mark.parametrize("promise", PROMISES, ids=range(len(PROMISES)))
def test_a_promise_names_its_test(promise: str) -> None:
    """At least one file, each of which has tests."""
    named = re.findall(r"`(tests/[\w/]+\.py)`", promise.partition("\n#")[0])
    assert named, promise
    for name in named:
        assert re.search(r"^(async )?def test_", (ROOT / name).read_text(), re.MULTILINE), name


def test_every_threat_has_promises() -> None:
    """Clients, with a key or without, writers of the bucket, writers of Redis; and what is not."""
    for who in (
        "hostile client",
        "stolen read key",
        "hostile writer of the bucket",
        "poisoned Redis",
    ):
        assert who in TEXT
    assert len(re.findall(r"^### ", PROMISED, re.MULTILINE)) == 3
    assert len(PROMISES) > 12
    assert TEXT.partition("## What is not promised")[2].count("\n- **") > 5


def test_no_address_is_invented() -> None:
    """Reports go by the host of the repository."""
    assert "@" not in TEXT
    assert re.findall(r"https?://", TEXT) == []
    assert "advisory" in TEXT


def test_links_lead_somewhere() -> None:
    """Within the repository, to a heading that is there."""
    for page, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", TEXT):
        headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}
