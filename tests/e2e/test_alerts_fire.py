"""Each alert fires by the fault that it is for: real programs, scraped by a real Prometheus.

Before the fault nothing fires. What must hold for minutes at work holds at once here.
"""

import functools
import http.server
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from grokprobe.settings import Settings
from tests.support.manifests import ROOT
from tests.support.prometheus import Prometheus, needs_prometheus, watching
from tests.support.redis_servers import redis_server
from tests.support.served import PATIENCE_S, Served, environment, eventually, free_port, serving
from tests.support.stores import take_away
from tests.support.trained import TINY_STEPS

pytestmark = needs_prometheus

CHECKPOINTS = "/v1/runs/tiny/checkpoints"
COLD = f"{CHECKPOINTS}/{{}}/predictions?a=1&b=2"


@contextmanager
def watched(home: Path, **changes: str) -> Iterator[tuple[Served, Prometheus]]:
    """A service over a folder, and a Prometheus that scrapes it."""
    settings = Settings(home=str(home), log_format="json")
    with (
        serving(settings, home.parent, **changes) as served,
        watching(home.parent / "prometheus", urlsplit(served.url).netloc) as prometheus,
    ):
        yield served, prometheus


def test_object_storage_goes_and_comes_back(home: Path) -> None:
    """It is told, and so are the requests that it fails; when it is back, no more."""
    with watched(home) as (served, prometheus):
        assert prometheus.is_quiet()
        take_away(home)

        def told() -> bool:
            assert served.client.get(COLD.format(0)).status_code == 503
            return {"GrokprobeObjectStorageDown", "GrokprobeUnavailable"} <= prometheus.firing()

        assert eventually(told)
        (home / "store").unlink()
        (home / "away").rename(home / "store")
        assert eventually(lambda: "GrokprobeObjectStorageDown" not in prometheus.firing())


def test_redis_goes(home: Path) -> None:
    """The index and the stream of events are told; the service answers."""
    folder = home.parent / "redis"
    folder.mkdir()
    with redis_server(folder) as port:
        url = f"redis://127.0.0.1:{port}"
        settings = Settings(home=str(home), redis_url=url)
        command = [sys.executable, "-m", "grokprobe", "reindex"]
        subprocess.run(command, env=environment(settings), check=True, capture_output=True)
        with watched(home, GROKPROBE_REDIS_URL=url) as (served, prometheus):
            assert prometheus.is_quiet()
            _shut_down(port)
            assert prometheus.fires("GrokprobeCatalogueDown", "GrokprobeEventsDown")
            assert served.client.get(COLD.format(0)).status_code == 200


def _shut_down(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        assert connection.recv(1) == b""


def test_a_published_object_is_broken(home: Path) -> None:
    """One request of it is enough."""
    broken = home / f"store/runs/tiny/checkpoints/{TINY_STEPS[1]:010d}/model.onnx"
    broken.write_bytes(bytes(broken.stat().st_size))
    with watched(home) as (served, prometheus):
        assert prometheus.is_quiet()
        assert served.client.get(COLD.format(TINY_STEPS[1])).status_code == 500
        assert prometheus.fires("GrokprobeFaults")


def test_a_gpu_is_missing(home: Path) -> None:
    """It was asked for, and none works here."""
    with watched(home, GROKPROBE_REQUIRE_GPU="true") as (served, prometheus):
        if served.client.get("/readyz").status_code == 200:
            pytest.skip("a GPU works here")
        assert prometheus.fires("GrokprobeGpuMissing")


def test_the_only_pod_is_killed(home: Path) -> None:
    """It is down, and nobody is there."""
    with watched(home) as (served, prometheus):
        assert prometheus.is_quiet()
        served.process.kill()
        assert prometheus.fires("GrokprobeReplicaDown", "GrokprobeAbsent")


def test_a_pod_starts_again_and_again(home: Path) -> None:
    """Killed three times and started on its port; each life was seen."""
    port = free_port()
    settings = Settings(home=str(home), log_format="json", port=port)
    command = [sys.executable, "-m", "service"]
    with watching(home.parent / "prometheus", f"127.0.0.1:{port}") as prometheus:
        for life in range(4):
            query = f"changes(process_start_time_seconds[1h]) >= {life}"
            with subprocess.Popen(command, env=environment(settings)) as process:
                try:
                    assert eventually(functools.partial(prometheus.ask, query))
                    assert "GrokprobeRestarts" not in prometheus.firing() or life == 3
                    assert life < 3 or prometheus.fires("GrokprobeRestarts")
                finally:
                    process.kill()


def test_more_is_asked_than_there_are_permits(home: Path) -> None:
    """Refused with 429, for as long as clients do not mind."""
    with watched(home, GROKPROBE_MAX_IN_FLIGHT="1") as (served, prometheus):
        assert prometheus.is_quiet()

        def ask(client: int) -> None:
            for seed in range(10_000):
                path = f"{CHECKPOINTS}/0/spectrum?null=1000&seed={client}{seed}"
                served.client.get(path)
                if over.is_set():
                    return

        over = threading.Event()
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(ask, client) for client in range(4)]
            try:
                assert prometheus.fires("GrokprobeOverloaded")
            finally:
                over.set()
        assert all(one.result() is None for one in asked)


def test_descriptors_run_out(home: Path) -> None:
    """Connections of which the process may not have many more."""
    with watched(home) as (served, prometheus):
        assert prometheus.is_quiet()
        pid = served.process.pid
        is_open = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (is_open + 20, is_open + 20))
        port = urlsplit(served.url).port
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(15)]
        for connection in held:  # one that has asked is idle, and stays
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert prometheus.fires("GrokprobeDescriptors")
        for connection in held:
            connection.close()


def test_the_process_gets_no_cpu(home: Path) -> None:
    """Stopped again and again while it answers somebody, as a quota that is used up does."""
    body = b'{"pairs": [[1, 2]]}'
    head = (
        f"POST {CHECKPOINTS}/0/predictions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with watched(home) as (served, prometheus):
        assert prometheus.is_quiet()

        def told() -> bool:
            address = ("127.0.0.1", urlsplit(served.url).port)
            with socket.create_connection(address, timeout=PATIENCE_S) as connection:
                connection.sendall(head.encode())
                assert connection.recv(100).startswith(b"HTTP/1.1 100")  # it is at work
                served.process.send_signal(signal.SIGSTOP)
                try:  # longer than a scrape waits
                    assert eventually(lambda: prometheus.ask("up == 0"))
                    connection.sendall(body)
                finally:
                    served.process.send_signal(signal.SIGCONT)
                with suppress(ConnectionResetError):  # the body came too late, if it was for long
                    while connection.recv(65_536):
                        pass
            assert eventually(lambda: prometheus.ask("up == 1"))
            return "GrokprobeSlow" in prometheus.firing()

        assert eventually(told)


# -- the index -------------------------------------------------------------------------------------


@contextmanager
def indexed(home: Path, **changes: str) -> Iterator[tuple[Served, Prometheus, Redis]]:
    """A service that has indexed its store into a Redis of its own, watched."""
    folder = home.parent / "redis"
    folder.mkdir()
    with redis_server(folder) as port, Redis(port=port) as redis:
        url = f"redis://127.0.0.1:{port}"
        with watched(home, GROKPROBE_REDIS_URL=url, **changes) as (served, prometheus):
            assert prometheus.is_quiet()
            yield served, prometheus, redis


def test_redis_is_told_to_evict(home: Path) -> None:
    """By a policy of caches, which lose entries."""
    with indexed(home) as (_, prometheus, redis):
        redis.config_set("maxmemory-policy", "allkeys-lru")
        assert prometheus.fires("GrokprobeRedisFault")


def test_an_index_is_lost_and_nobody_may_write_it(home: Path) -> None:
    """The service's user may only read."""
    page = (ROOT / "docs/storage.md").read_text()
    [words] = re.findall(r"^user grokprobe-reader on #SHA256HEX (.+)$", page, re.MULTILINE)
    folder = home.parent / "redis"
    folder.mkdir()
    with redis_server(folder) as port, Redis(port=port) as redis:
        redis.execute_command("ACL", "SETUSER", "reader", "on", ">secret", *words.split())
        url = f"redis://reader:secret@127.0.0.1:{port}"
        with watched(home, GROKPROBE_REDIS_URL=url) as (served, prometheus):
            assert prometheus.fires("GrokprobeIndexNotWhole", "GrokprobeCatalogueDown")
            assert served.client.get(COLD.format(0)).status_code == 200


def test_a_record_cannot_be_read(home: Path) -> None:
    """It is found by whoever compares, before anybody asks for it."""
    with indexed(home) as (served, prometheus, _):
        broken = home / "store/runs/broken/run.json"
        broken.parent.mkdir()
        broken.write_text("{")
        assert prometheus.fires("GrokprobeUnreadableRecords")
        assert [row["run"] for row in served.client.get("/v1/runs").json()["runs"]] == ["tiny"]


def test_a_run_differs_and_is_not_repaired(home: Path) -> None:
    """Redis has lost a part of it, and object storage is away."""
    with indexed(home) as (served, prometheus, redis):
        take_away(home)
        redis.delete("grokprobe:{run:tiny}:checkpoints")

        def told() -> bool:
            served.client.get(CHECKPOINTS)
            return "GrokprobeIndexBehind" in prometheus.firing()

        assert eventually(told)


def test_the_index_is_not_compared_any_more(home: Path) -> None:
    """Redis is gone, and with it the one that compares has nothing to do."""
    with indexed(home) as (_, prometheus, redis):
        redis.shutdown(nosave=True)
        assert prometheus.fires("GrokprobeIndexNotCompared")


# -- training --------------------------------------------------------------------------------------

TINY = {
    "task.modulus": 13,
    "model.d_model": 16,
    "model.heads": 2,
    "model.d_head": 8,
    "model.d_mlp": 32,
    "training.device": "cpu",
    "training.threads": 1,
    "training.steps": 900_000,
    "checkpoints.queue": 1,
    "checkpoints.every": 20,
}


def trainer(**changes: object) -> list[str]:
    """The command of a small training; it does not end unless `changes` say so."""
    values = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    start = [sys.executable, "-m", "trainer", "train", "--preset", "quickstart", "--run", "tried"]
    return [*start, *(f"--set={name}={value}" for name, value in values.items())]


PUBLISHES = "grokprobe_trainer_published_checkpoints_total > 2"


@contextmanager
def training(home: Path, **changes: str) -> Iterator[Prometheus]:
    """A training that publishes and does not end, and a Prometheus that scrapes it."""
    port = free_port()
    settings = Settings(home=str(home), log_format="json", trainer_metrics_port=port)
    given = environment(settings, **changes)
    with (
        (home.parent / "trainer.log").open("wb") as log,
        subprocess.Popen(trainer(), env=given, stdout=log, stderr=log) as process,
    ):
        try:
            with watching(home.parent / "prometheus", f"127.0.0.1:{port}") as prometheus:
                assert eventually(lambda: process.poll() is not None or prometheus.ask(PUBLISHES))
                assert process.poll() is None, (home.parent / "trainer.log").read_text()
                yield prometheus
        finally:
            process.kill()


def test_a_trainer_cannot_write(tmp_path: Path) -> None:
    """Tried again and again, and then training waits."""
    home = tmp_path / "home"
    with training(home) as prometheus:
        assert prometheus.is_quiet()
        take_away(home)
        assert prometheus.fires("GrokprobePublicationRetried", "GrokprobePublicationWaits")


def test_a_trainer_cannot_index(tmp_path: Path) -> None:
    """Redis goes while it trains; it publishes on."""
    with redis_server(tmp_path) as port:
        url = f"redis://127.0.0.1:{port}"
        with training(tmp_path / "home", GROKPROBE_REDIS_URL=url) as prometheus:
            _shut_down(port)
            assert prometheus.fires("GrokprobeTrainerIndexBehind")


@contextmanager
def collected(folder: Path) -> Iterator[str]:
    """An address at which /metrics is the file that a trainer left, as node_exporter has it."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; its log is no news."""

    extensions_map = {"": "text/plain; version=0.0.4"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def leaving(home: Path, **changes: object) -> Iterator[Prometheus]:
    """A training that ends by itself, meanwhile; then a Prometheus over the file that it leaves."""
    file = home.parent / "left" / "trainer.prom"
    file.parent.mkdir()
    settings = Settings(home=str(home), log_format="json", trainer_metrics_file=str(file))
    log = (home.parent / "trainer.log").open("wb")
    with (
        log,
        subprocess.Popen(
            trainer(**changes), env=environment(settings), stdout=log, stderr=log
        ) as process,
    ):
        try:
            plant(home, process)
            assert process.wait(PATIENCE_S) == 1
        finally:
            process.kill()
    file.rename(file.with_name("metrics"))
    with (
        collected(file.parent) as address,
        watching(home.parent / "prometheus", address) as prometheus,
    ):
        yield prometheus


def plant(home: Path, process: "subprocess.Popen[bytes]") -> None:
    """Once it trains, publish something else where it will be much later."""
    published = home / "store/runs/tried/checkpoints"
    first, later = published / f"{20:010d}/manifest.json", published / f"{3000:010d}"
    assert eventually(lambda: first.exists() or process.poll() is not None)
    later.mkdir(parents=True)
    (later / "manifest.json").write_text("{}")


def test_a_training_fails(tmp_path: Path) -> None:
    """Its loss is no number any more."""
    hot = {"optimiser__learning_rate": 1.0, "optimiser__weight_decay": 1000.0}
    with leaving(tmp_path / "home", **hot) as prometheus:
        assert prometheus.fires("GrokprobeTrainingFailed")
        assert "GrokprobePublicationFailed" not in prometheus.firing()


def test_a_checkpoint_is_given_up(tmp_path: Path) -> None:
    """Where it belongs, somebody else has published."""
    with leaving(tmp_path / "home") as prometheus:
        assert prometheus.fires("GrokprobePublicationFailed", "GrokprobeTrainingFailed")
