"""`python -m benchmarks.soak`: half an hour of load, training and a random fault every minute.

Two services, Redis, object storage and trainers, each a process of its own. Clients ask at 70 % of
what the services can do here, runs are trained and published meanwhile, and each minute something
is killed, silent, emptied, poisoned, full or stopped. Whatever a finished run once answered must
be answered the same by every service for ever, or with 503; at no service may a run in training
shrink; a connection may fail only at a service that is killed, and be refused only until one that
was stopped is there again. `--minutes` and `--seed`.
"""

import argparse
import hashlib
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.deployment import Deployment, asked, deployed, paths
from tests.support.faults import OF_REDIS, Fault, service_killed
from tests.trainer.test_trainer_faults import configured

CLIENTS = 8
SHARE = 0.7  # of capacity
CAPACITY_S = 10.0
EVERY_S = 60.0  # a fault
LASTS_S = (2.0, 20.0)
# So small that they are full after minutes: memory that grows after that is a leak.
CACHES: dict[str, Any] = dict.fromkeys(
    ("session_cache_bytes", "grid_cache_bytes", "answer_cache_bytes", "result_cache_bytes"), 2**24
)


@contextmanager
def service_rolled(deployment: Deployment) -> Iterator[None]:
    """SIGTERM, and once it has ended a new one at the same address."""
    deployment.services[0].stop()
    deployment.services[0].start()
    yield


FAULTS: dict[str, Fault] = OF_REDIS | {
    "service killed": service_killed,
    "service rolled": service_rolled,
}


@dataclass
class Ledger:
    """What was answered, by all clients."""

    known: dict[str, tuple[int, str]] = field(default_factory=dict)  # what must be answered
    counts: dict[str, list[int]] = field(default_factory=dict)  # of runs in training, by service
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    # What may fail at the first service now.
    hurt: tuple[type[httpx.TransportError], ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, outcome: str, seconds: float, complaint: str = "") -> None:
        """One answer."""
        with self.lock:
            self.outcomes[outcome] += 1
            self.seconds.append(seconds)
            if complaint:
                self.wrong.append(complaint)


def digest(body: bytes) -> str:
    """What a body is known by."""
    return hashlib.sha256(body).hexdigest()


class Clients:
    """Threads that ask, each on its connections to both services."""

    def __init__(self, deployment: Deployment, ledger: Ledger, seed: int) -> None:
        self._deployment, self._ledger, self._seed = deployment, ledger, seed
        self.rate = float("inf")  # of all together, a second
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask meanwhile."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _ask(self, number: int) -> None:
        chance = random.Random(f"{self._seed} {number}")
        clients = [httpx.Client(base_url=url, timeout=60) for url in self._deployment.urls]
        due = time.monotonic()
        while not self._ended.is_set():
            which = chance.randrange(len(clients))
            self._one(clients[which], which, chance)
            due = max(due + CLIENTS / self.rate, time.monotonic() - 1)
            self._ended.wait(max(0.0, due - time.monotonic()))
        for client in clients:
            client.close()

    def _one(self, client: httpx.Client, which: int, chance: random.Random) -> None:
        ledger = self._ledger
        growing = list(ledger.counts)
        path = chance.choice(list(ledger.known))
        if growing and chance.random() < 0.1:
            path = f"/v1/runs/{chance.choice(growing)}"
        least = ledger.counts.get(path.rpartition("/")[2], [0, 0])[which]
        began = time.monotonic()
        try:
            answer = client.get(path)
        except httpx.TransportError as error:
            borne = which == 0 and isinstance(error, ledger.hurt)
            told = "" if borne else f"service {which}, {path}: {error!r}"
            ledger.note("no connection", time.monotonic() - began, told)
            return
        took, status = time.monotonic() - began, answer.status_code
        if status == 503 or (status == 404 and path not in ledger.known and not least):
            ledger.note(str(status), took)
        elif path not in ledger.known:
            count = answer.json().get("checkpoint_count", -1)
            ledger.note(str(status), took, f"{path}: {count} < {least}" if count < least else "")
            if status == 200:
                run = path.rpartition("/")[2]
                with ledger.lock:
                    if run in ledger.counts:
                        ledger.counts[run][which] = max(ledger.counts[run][which], count)
        else:
            same = (status, digest(answer.content)) == ledger.known[path]
            ledger.note(str(status), took, "" if same else f"{path}: {status}, other than before")


class Trainers:
    """One run after the other is trained; once complete, its answers are what must be answered."""

    def __init__(self, deployment: Deployment, ledger: Ledger, config: str) -> None:
        self._deployment, self._ledger, self._config = deployment, ledger, config
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._train)
        self.statuses: Counter[int] = Counter()

    @contextmanager
    def training(self) -> Iterator[None]:
        """Train meanwhile."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _train(self) -> None:
        number = 0
        while not self._ended.is_set():
            run, number = f"soak-{number}", number + 1
            self._ledger.counts[run] = [0, 0]
            arguments = ("train", "--config", self._config, "--run", run)
            done = self._deployment.run("trainer", *arguments, "--set", f"training.seed={number}")
            self.statuses[done.returncode] += 1
            learn(self._deployment, self._ledger, run)


def learn(deployment: Deployment, ledger: Ledger, run: str) -> None:
    """Take what is answered of a complete run, once it is answered, as what must be answered."""
    with httpx.Client(base_url=deployment.urls[1], timeout=60) as client:
        while True:
            try:
                found = asked(client, paths(client, run))
                status = client.get(f"/v1/runs/{run}").json().get("status")
            except (httpx.TransportError, KeyError, ValueError):
                found, status = {}, None
            if status == "complete" and {status for status, _ in found.values()} == {200}:
                break
            time.sleep(1)
    with ledger.lock:
        ledger.counts.pop(run, None)
        ledger.known |= {path: (s, digest(body)) for path, (s, body) in found.items()}


@dataclass
class Sample:
    """Memory and open files of a service."""

    mebibytes: float
    descriptors: int


def sample(deployment: Deployment) -> list[Sample]:
    """Each service, now."""
    found = []
    for service in deployment.services:
        assert service.process is not None
        folder = Path(f"/proc/{service.process.pid}")
        pages = int((folder / "statm").read_text().split()[1])
        found.append(Sample(pages * 4096 / 2**20, len(list((folder / "fd").iterdir()))))
    return found


@contextmanager
def hurting(ledger: Ledger, name: str) -> Iterator[None]:
    """Connections to the first service may fail meanwhile, or be refused, by the fault's name."""
    kinds = {"service killed": httpx.TransportError, "service rolled": httpx.ConnectError}
    ledger.hurt = (kinds[name],) if name in kinds else ()
    try:
        yield
    finally:
        ledger.hurt = ()


def recover(deployment: Deployment) -> float:
    """Seconds until every service says that all is well."""
    began = time.monotonic()
    for url in deployment.urls:
        while httpx.get(f"{url}/readyz", timeout=60).json()["status"] != "ready":
            time.sleep(0.1)
    return time.monotonic() - began


def soak(deployment: Deployment, minutes: float, seed: int, config: str) -> None:
    """Do all of it and print the record."""
    ledger, chance = Ledger(), random.Random(seed)
    done = deployment.run("trainer", "train", "--config", config, "--run", "first")
    assert done.returncode == 0, done.stderr
    learn(deployment, ledger, "first")
    clients = Clients(deployment, ledger, seed)
    trainers = Trainers(deployment, ledger, config)
    recoveries: dict[str, list[float]] = {}
    samples: list[list[Sample]] = []
    with clients.asking():
        time.sleep(CAPACITY_S)
        capacity = ledger.outcomes.total() / CAPACITY_S
        clients.rate = SHARE * capacity
        print(f"capacity {capacity:.0f} requests/s; asked at {clients.rate:.0f}", flush=True)
        ended = time.monotonic() + 60 * minutes
        with trainers.training():
            while time.monotonic() < ended:
                again = time.monotonic() + EVERY_S
                name = chance.choice(sorted(FAULTS))
                fault: Callable[[Deployment], AbstractContextManager[None]] = FAULTS[name]
                with hurting(ledger, name), fault(deployment):
                    time.sleep(chance.uniform(*LASTS_S))
                recoveries.setdefault(name, []).append(recover(deployment))
                samples.append(sample(deployment))
                print(f"{name}: ready after {recoveries[name][-1]:.1f} s", samples[-1], flush=True)
                time.sleep(max(0.0, min(again, ended) - time.monotonic()))
    verified = deployment.run("grokprobe", "verify")
    report(ledger, trainers, recoveries, samples)
    print(f"`grokprobe verify`: {verified.stdout.splitlines()[-1]}, exit {verified.returncode}")


def report(
    ledger: Ledger,
    trainers: Trainers,
    recoveries: dict[str, list[float]],
    samples: list[list[Sample]],
) -> None:
    """The record."""
    print("\n| fault | times | ready again after, s: median, longest |\n|---|---|---|")
    for name, took in sorted(recoveries.items()):
        print(f"| {name} | {len(took)} | {statistics.median(took):.1f}, {max(took):.1f} |")
    print("\nanswers:", ", ".join(f"{n:,} {what}" for what, n in ledger.outcomes.most_common()))
    print(f"wrong answers: {len(ledger.wrong)}")
    for line in ledger.wrong[:20]:
        print("  ", line)
    quantiles = statistics.quantiles(ledger.seconds, n=100)
    print(f"seconds an answer: median {quantiles[49]:.4f}, 99 % {quantiles[98]:.3f}")
    print("runs trained, by exit status:", dict(trainers.statuses))
    for number in range(len(samples[0])):
        of_one = [each[number] for each in samples]
        third = max(1, len(of_one) // 3)
        first, last = of_one[:third], of_one[-third:]
        print(
            f"service {number}: MiB {statistics.mean(s.mebibytes for s in first):.0f} in the first "
            f"third, {statistics.mean(s.mebibytes for s in last):.0f} in the last; open files "
            f"{max(s.descriptors for s in first)}, {max(s.descriptors for s in last)}"
        )


def main() -> None:
    """Parse the arguments and soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with deployed(folder, services=2, **CACHES) as deployment:
            soak(deployment, options.minutes, options.seed, configured(folder))


if __name__ == "__main__":
    main()
