"""What goes on and what stops when Redis, object storage or both are away (docs/operations.md)."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from tests.support.served import Served, environment, serving
from tests.support.stores import take_away
from tests.support.trained import TINY_STEPS

RUN = "/v1/runs/tiny"
LOADED = f"{RUN}/checkpoints/{TINY_STEPS[-1]}"
RESOURCES = {
    "loaded": f"{LOADED}/embedding",
    "loaded by v2": f"/v2/models/tiny/versions/{TINY_STEPS[-1]}",
    "not loaded": f"{RUN}/checkpoints/0/predictions?a=1&b=2",
    "file": f"{LOADED}/model.onnx",
    "weights": f"{LOADED}/weights",
    "run": RUN,
    "trajectory": f"{RUN}/trajectory",
    "emergence": f"{RUN}/emergence",
    "runs": "/v1/runs",
    "ready": "/readyz",
    "live": "/livez",
    "metrics": "/metrics",
}
STORED = {"not loaded", "file", "weights"}  # what is read from object storage alone
STOPS = {
    ("redis",): set[str](),
    ("storage",): STORED,
    ("redis", "storage"): STORED | {"runs"},
}


@contextmanager
def without(home: Path, away: tuple[str, ...]) -> Iterator[Served]:
    """A service that has loaded the last checkpoint, when they went away."""
    settings = Settings(home=str(home), log_format="json")
    with socket.socket() as closed:  # bound, not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        refusing = f"redis://127.0.0.1:{closed.getsockname()[1]}"
        changes = {"GROKPROBE_REDIS_URL": refusing} if "redis" in away else {}
        with serving(settings, home.parent, **changes) as served:
            assert served.client.get(f"{LOADED}/predictions").status_code == 200
            if "storage" in away:
                take_away(home)
            yield served


@pytest.mark.parametrize("away", STOPS, ids="+".join)
def test_what_goes_on(home: Path, away: tuple[str, ...]) -> None:
    """What needs nothing that is away answers 200, all else 503 with Retry-After; degraded."""
    with without(home, away) as served:
        answers = {name: served.client.get(path) for name, path in RESOURCES.items()}
        assert {name for name, answer in answers.items() if answer.status_code != 200} == STOPS[
            away
        ]
        for name in STOPS[away]:
            assert (answers[name].status_code, "retry-after" in answers[name].headers) == (
                503,
                True,
            )
        assert answers["ready"].json()["status"] == "degraded"


def test_a_start_with_nothing(home: Path) -> None:
    """A service whose object storage and Redis are both away starts, live and degraded."""
    take_away(home)
    settings = Settings(
        home=str(home), store_url="s3://none/none", s3_endpoint="http://127.0.0.1:1"
    )
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "x"}
    redis = {"GROKPROBE_REDIS_URL": "redis://127.0.0.1:1"}
    with serving(settings, home.parent, **keys, **redis) as served:
        assert served.client.get("/readyz").json()["status"] == "degraded"


COMMANDS: dict[tuple[str, ...], set[tuple[str, ...]]] = {
    ("runs",): {("redis",)},
    ("verify", "tiny"): {("redis",)},
    ("reindex",): set(),
    ("delete", "--yes", "tiny"): set(),
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("away", STOPS, ids="+".join)
def test_commands(home: Path, command: tuple[str, ...], away: tuple[str, ...]) -> None:
    """What looks at object storage alone needs no Redis; an error is one line, exit code 2."""
    asyncio.run(_index(home))
    settings = Settings(home=str(home), log_format="json")
    changes = {"GROKPROBE_REDIS_URL": "redis://127.0.0.1:1"} if "redis" in away else {}
    if "storage" in away:
        take_away(home)
    done = subprocess.run(
        [sys.executable, "-m", "grokprobe", *command],
        env=environment(settings, **changes),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    goes_on = away in COMMANDS[command]
    assert (done.returncode, len(done.stderr.splitlines())) == ((0, 0) if goes_on else (2, 1))


async def _index(home: Path) -> None:
    async with open_backends(Settings(home=str(home))) as backends:
        await backends.catalogue.rebuild(backends.archive)
