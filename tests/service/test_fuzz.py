"""A shorter run of `python -m tests.support.fuzz`."""

from pathlib import Path

import pytest

from tests.support.fuzz import fuzz

COUNT = 1000


@pytest.mark.parametrize("kind", ["objects", "requests"])
def test_nothing_hurts(tmp_path: Path, kind: str) -> None:
    """No crash, no hang, no error of the service's own, nothing opened outside the store."""
    counts = {"objects": 0, "requests": 0, kind: COUNT}
    for what, found in fuzz(tmp_path, **counts, seed=0):
        assert found.failures == [], what
        assert found.answers.total() >= COUNT * (what == kind)
