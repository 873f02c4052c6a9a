"""The rights of docs/storage.md at a real Redis: enough for everything, and each is needed."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from grokprobe.settings import Settings
from tests.service.test_events import parse
from tests.support.redis_servers import redis_server
from tests.support.served import (
    PATIENCE_S,
    Served,
    environment,
    eventually,
    serving,
    started,
)
from trainer.reporting.exit_status import Exit

ROOT = Path(__file__).parent.parent.parent
LINES = re.findall(
    r"^user (grokprobe-\w+) on #SHA256HEX (.+)$",
    (ROOT / "docs/storage.md").read_text(),
    re.MULTILINE,
)
RIGHTS = {name: words.split() for name, words in LINES}
SERVICE, READER, TRAINER = "grokprobe-service", "grokprobe-reader", "grokprobe-trainer"
# Of a service that runs: SELECT is for a new connection, and a missing one is seen at a start.
WATCHED = [right for right in RIGHTS[SERVICE] if right[0] == "+" and right != "+select"]
TRAINING = [
    "task.modulus=13",
    "model.d_model=8",
    "model.heads=1",
    "model.d_head=8",
    "model.d_mlp=8",
    "training.steps=20",
    "training.device=cpu",
    "training.threads=1",
    "checkpoints.every=10",
    "checkpoints.log_spaced=0",
]
RUN = "/v1/runs/live"
LAST = f"{RUN}/checkpoints/latest"
ROUTES = [
    "/v1/runs",
    "/v1/runs?limit=1&after=a",
    "/v1/runs?group=nobody",
    RUN,
    f"{RUN}/checkpoints",
    f"{RUN}/trajectory",
    f"{RUN}/spectra",
    f"{RUN}/emergence",
    LAST,
    f"{LAST}/predictions",
    f"{LAST}/logits",
    f"{LAST}/embedding",
    f"{LAST}/spectrum?null=20",
    f"{LAST}/neurons",
    f"{LAST}/measures",
    f"{LAST}/weights",
    f"{LAST}/model.onnx",
    "/v2/models/live",
    "/v2/models/live/stats",
]


@dataclass(frozen=True)
class Shared:
    """A Redis with the users of the docs, and the settings of their programs."""

    admin: Redis
    home: Path
    port: int

    def settings(self, user: str) -> Settings:
        """Those of a program that asks as this user."""
        url = f"redis://{user}:p%40ss@127.0.0.1:{self.port}/2"
        return Settings(home=str(self.home), redis_url=url, log_format="json")

    def change(self, user: str, *rights: str) -> None:
        """Give rights to a user, or take them away; they hold at once."""
        send: Any = self.admin.execute_command
        send("ACL", "SETUSER", user, *rights)

    def cut(self) -> None:
        """Close every connection but ours."""
        send: Any = self.admin.execute_command
        send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def program(self, user: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """A program of ours, to its end."""
        command = [sys.executable, "-m", *words]
        given = environment(self.settings(user))
        return subprocess.run(
            command, env=given, text=True, capture_output=True, timeout=PATIENCE_S, check=False
        )

    def train(self, run: str) -> "subprocess.CompletedProcess[str]":
        """A run of three checkpoints."""
        assignments = [word for each in TRAINING for word in ("--set", each)]
        words = ("train", "--preset", "quickstart", "--run", run, *assignments)
        return self.program(TRAINER, "trainer", *words)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    """Nobody but the two users, and us."""
    with redis_server(tmp_path) as port, Redis(port=port, decode_responses=True) as admin:
        found = Shared(admin, tmp_path / "home", port)
        for name, rights in RIGHTS.items():
            found.change(name, "on", ">p@ss", *rights)
        yield found


def says(served: Served, name: str, words: str) -> bool:
    """Whether readiness has these words about a dependency in the end."""

    def found() -> bool:
        state = served.client.get("/readyz").json()["dependencies"][name]
        return words in state.get("detail", "")

    return eventually(found)


def test_the_rights_of_the_docs_are_enough(shared: Shared, tmp_path: Path) -> None:
    """Every route, live events, training, reindex and delete: Redis has refused nothing."""
    with serving(shared.settings(SERVICE), tmp_path) as served:
        assert eventually(lambda: served.client.get("/readyz").json()["status"] == "ready")
        assert shared.train("live").stderr == ""
        for route in ROUTES:
            assert served.client.get(route).status_code == 200, route
        assert served.client.get("/v1/groups/nobody/emergence").status_code == 404
        with served.client.stream("GET", f"{RUN}/events", headers={"Last-Event-ID": "0-0"}) as got:
            kinds = [kind for kind, _, _ in parse(got.iter_lines())]
        assert kinds[-4:] == ["checkpoint"] * 3 + ["complete"]
        for words in (("reindex",), ("delete", "--yes", "live")):
            assert shared.program(TRAINER, "grokprobe", *words).returncode == 0
        assert eventually(lambda: served.client.get(RUN).status_code == 404)
        assert served.client.get("/readyz").json()["status"] == "ready"
        assert shared.admin.acl_log() == []


def test_a_right_that_is_missing_is_named(shared: Shared, tmp_path: Path) -> None:
    """Degraded with the command, for each right of the line; ready again when it is granted."""
    with serving(shared.settings(SERVICE), tmp_path) as served:
        for right in WATCHED:
            assert eventually(lambda: served.client.get("/readyz").json()["status"] == "ready")
            shared.change(SERVICE, f"-{right[1:]}")
            shared.cut()
            of_events = right in ("+xread", "+xrange")
            of_readers = right in RIGHTS[READER]
            name = "events" if of_events else "catalogue" if of_readers else "reconciler"
            sentence = f"Redis does not let its user run {right[1:].upper()}; the rights are in"
            assert says(served, name, sentence), right
            assert served.client.get("/readyz").json()["status"] == "degraded"
            shared.change(SERVICE, right)
        shared.change(SERVICE, "resetkeys")
        sentence = "Redis does not let its user have the keys grokprobe:*"
        assert says(served, "catalogue", sentence)


def test_a_service_that_may_only_read_says_so(shared: Shared, tmp_path: Path) -> None:
    """It is ready and repairs nothing; `reindex --watch`, by the service's rights, does."""
    with serving(shared.settings(READER), tmp_path) as served:
        assert says(served, "reconciler", "reindex --watch")
        shared.admin.flushall()
        assert says(served, "catalogue", "no whole index")
        watch = [sys.executable, "-m", "grokprobe", "reindex", "--watch"]
        with started(watch, shared.settings(SERVICE), tmp_path, "compares") as watching:
            assert eventually(lambda: served.client.get("/readyz").json()["status"] == "ready")
            watching.terminate()
            assert watching.wait(PATIENCE_S) == 0
        found = served.client.get("/readyz").json()["dependencies"]["reconciler"]
        assert (found["status"], found["lock_held"]) == ("up", False)


def test_a_trainer_without_a_right_says_which(shared: Shared) -> None:
    """It publishes all the same; the index follows when the right is there."""
    shared.change(TRAINER, "-hset")
    done = shared.train("lonely")
    assert done.returncode == Exit.INDEX_BEHIND
    told = done.stdout + done.stderr  # of a script Redis 6.2 does not say which command it was
    assert "Redis does not let its user run" in told
    assert "the rights are in docs/storage.md" in told


def test_a_password_that_is_wrong_is_told(shared: Shared, tmp_path: Path) -> None:
    """By its cause, without it."""
    shared.change(SERVICE, "resetpass", ">another")
    with serving(shared.settings(SERVICE), tmp_path) as served:
        for name in ("catalogue", "events"):
            assert says(served, name, "password")
        log = served.log.read_text()
        assert f"password pair or user is disabled (redis://127.0.0.1:{shared.port})" in log
        assert "p@ss" not in log
        assert "p%40ss" not in log
