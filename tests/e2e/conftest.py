"""What tests of faults stand on, and what they tell beside that they pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.reports import Report
from tests.support.s3_servers import S3Server


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Of this test."""
    return Report(request.node.name)


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """Redis, an S3 server and one service, which may only read; nothing is published."""
    with deployed(tmp_path, storage=S3Server(tmp_path / "s3")) as found:
        for name, value in found.variables.items():  # for what is done in this process
            monkeypatch.setenv(name, value)
        yield found
