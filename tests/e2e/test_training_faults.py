"""Training while a part is hurt: every step is published, and none that was answered is lost."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from grokprobe.store.records import CheckpointManifest
from tests.support.deployment import Deployment, deployed
from tests.support.faults import OF_REDIS, Fault
from tests.support.reports import Report
from tests.support.served import PATIENCE_S, eventually
from tests.support.trained import TINY_STEPS, Trained, settings_at
from trainer.jobs.training import start
from trainer.reporting.progress import JsonReporter, Trouble

AT_STEP = 160  # of 400


@dataclass
class Witness:
    """Asks for the latest checkpoint, and for every step that it ever saw, until it is told."""

    url: str
    lost: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)  # of every answer
    turn: threading.Lock = field(default_factory=threading.Lock)  # two looks are one after another

    def look(self, client: httpx.Client) -> None:
        """Once: `latest` never goes back, and what was answered is answered."""
        with self.turn:
            latest = client.get("/v1/runs/tiny/checkpoints/latest")
            if self.seen or latest.status_code != 404:  # until the first checkpoint that is right
                self.statuses.append(latest.status_code)
            if latest.status_code == 200:
                step = latest.json()["step"]
                if self.seen and step < max(self.seen):
                    self.lost.append(f"latest went back from {max(self.seen)} to {step}")
                self.seen.add(step)
            elif self.seen and latest.status_code != 503:
                self.lost.append(f"latest: {latest.status_code}")
            for step in self.seen:
                status = client.get(f"/v1/runs/tiny/checkpoints/{step}").status_code
                self.statuses.append(status)
                if status not in (200, 503):
                    self.lost.append(f"step {step}: {status}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look again and again meanwhile."""
        ended = threading.Event()

        def watch() -> None:
            with httpx.Client(base_url=self.url, timeout=PATIENCE_S) as client:
                while not ended.is_set():
                    self.look(client)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Hurting(JsonReporter):
    """Lets a fault begin once a step is published; the publisher waits until it has begun.

    `noticed` is called at each warning about object storage, which `troubles` keeps.
    """

    def __init__(
        self, step: int, begin: Callable[[], object], noticed: Callable[[], object] = bool
    ) -> None:
        super().__init__()
        self._step, self._begin, self._noticed = step, begin, noticed
        self.troubles: list[str] = []

    def published(self, manifest: CheckpointManifest) -> None:
        """Begin at the step."""
        super().published(manifest)
        if manifest.step == self._step:
            self._begin()

    def warn(self, message: str, kind: Trouble = "other") -> None:
        """Tell of what was noticed."""
        super().warn(message, kind)
        if kind == "store":
            self.troubles.append(message)
            self._noticed()


def objects(deployment: Deployment, trained: Trained) -> dict[str, bytes]:
    """What the run has in object storage, without the times."""
    return Trained(settings_at(Path(deployment.settings.home)), "tiny", trained.config).objects()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """Redis, object storage as a folder, one service; nothing is published."""
    with deployed(tmp_path) as found:
        yield found


@pytest.mark.parametrize("fault", [pytest.param(f, id=n) for n, f in OF_REDIS.items()])
def test_nothing_is_lost_while_training(
    deployment: Deployment, fault: Fault, trained: Trained, report: Report
) -> None:
    """From a step in the middle until training has ended, and after it."""
    nothing_is_lost(deployment, lambda: fault(deployment), trained, report)


def nothing_is_lost(
    deployment: Deployment,
    fault: Callable[[], AbstractContextManager[None]],
    trained: Trained,
    report: Report,
) -> None:
    """Train while it lasts: what is stored is what it always is.

    No step that was answered is 404 at any moment, and soon the whole run is listed, by itself.
    """
    witness = Witness(deployment.urls[0])
    with witness.watching():
        with ExitStack() as faults:
            reporter = Hurting(AT_STEP, lambda: faults.enter_context(fault()))
            start(deployment.settings, trained.config, "tiny", reporter)
        client = deployment.client()

        def listed() -> bool:
            found = client.get("/v1/runs?limit=5")
            rows = found.json()["runs"] if found.status_code == 200 else []
            return [(r["status"], r["checkpoint_count"]) for r in rows] == [
                ("complete", len(TINY_STEPS))
            ]

        report.over()
        assert eventually(listed)
        assert eventually(lambda: client.get("/readyz").json()["status"] == "ready")
        report.recovered()
        witness.look(client)
    report.saw(witness.statuses)
    assert witness.lost == []
    assert objects(deployment, trained) == trained.objects()
    path = "/v1/runs/tiny/checkpoints?limit=1000"
    assert eventually(
        lambda: [row["step"] for row in client.get(path).json()["checkpoints"]] == TINY_STEPS
    )
    verified = deployment.run("grokprobe", "verify")
    assert verified.returncode == 0, verified.stdout
    report.recovered("verified")
