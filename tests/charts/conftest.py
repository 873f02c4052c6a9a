"""A browser that looks at pictures."""

from collections.abc import Iterator

import pytest

from tests.support.pictures import Faults, looking


@pytest.fixture(scope="session")
def faults() -> Iterator[Faults]:
    """What is wrong with an SVG, in several fonts."""
    with looking() as look:
        yield look
