"""The trainer's metrics: scraped while it trains, in a file at the end, at a Pushgateway."""

import http.server
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from grokprobe.errors import SettingError
from grokprobe.settings import Settings, read_settings
from grokprobe.store.records import CheckpointManifest
from tests.support.served import PATIENCE_S, free_port, needs_ipv6
from tests.support.trained import TINY_STEPS, events, settings_at, tiny_config
from trainer.config.schema import Config
from trainer.jobs.opening import RunFailed
from trainer.jobs.sweep import child_environment
from trainer.jobs.training import start
from trainer.reporting.exposition import MetricsWriter, Scrape, metered, served
from trainer.reporting.metrics import TrainerMetrics
from trainer.reporting.progress import JsonReporter, Reporter

PREFIX = "grokprobe_trainer_"
QUICK = tiny_config(local_learning_coefficient={})
HOT = tiny_config(
    local_learning_coefficient={}, optimiser={"learning_rate": 1.0, "weight_decay": 1000.0}
)
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
Samples = dict[str, float]  # by name and the labels other than the run


def samples(text: str) -> Samples:
    """The samples of a scrape; every one of ours names the run."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(PREFIX):
                labels = dict(sample.labels)
                assert labels.pop("run") == "tiny"
                shown = "".join(f"{{{value}}}" for value in labels.values())
                found[sample.name.removeprefix(PREFIX) + shown] = sample.value
    return found


def train(settings: Settings, config: Config, reporter: Reporter) -> None:
    """A run with metrics, as the command makes it."""
    with metered(settings, reporter) as counting:
        start(settings, config, "tiny", counting)


class Scraping(JsonReporter):
    """Asks for the metrics when the last checkpoint is published."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.url, self.text = f"http://127.0.0.1:{port}/metrics", ""

    def published(self, manifest: CheckpointManifest) -> None:
        """Scrape, over loopback."""
        if manifest.step == TINY_STEPS[-1]:
            with urllib.request.urlopen(self.url, timeout=PATIENCE_S) as answer:
                self.text = answer.read().decode()


def test_a_scrape_during_training(tmp_path: Path) -> None:
    """Steps, losses, queue, publications, beside the process's own; gone when training is over."""
    port = free_port()
    settings = msgspec.structs.replace(settings_at(tmp_path), trainer_metrics_port=port)
    scraping = Scraping(port)
    train(settings, QUICK, scraping)
    found = samples(scraping.text)
    assert found["run_info{cpu}"] == found["run_status{running}"] == 1
    assert found["steps_total"] >= 399  # the step that is published may not be reported yet
    assert found["last_step"] == found["checkpoint_step"] == 400
    assert found["published_checkpoints_total"] == len(TINY_STEPS)
    assert found["publication_seconds_count"] == len(TINY_STEPS) - 1  # this one is not over
    assert found["publication_seconds_bucket{+Inf}"] == len(TINY_STEPS) - 1
    assert (found["queue_depth"], found["queue_bound"]) == (0, 1)
    assert found["publication_failures_total"] == 0
    assert 0 < found["train_loss"] < found["checkpoint_test_loss"]
    assert {"checkpoint_train_accuracy", "checkpoint_test_accuracy"} <= found.keys()
    assert found["last_publication_timestamp_seconds"] > 1.7e9
    assert "device_memory_bytes" not in found  # absent without a GPU
    assert "process_resident_memory_bytes" in scraping.text
    with pytest.raises(OSError):
        urllib.request.urlopen(scraping.url, timeout=PATIENCE_S)


def test_a_file_after_a_run(tmp_path: Path) -> None:
    """The textfile collector's format, whole, with the end of the run, and nothing beside it."""
    path = tmp_path / "out" / "trainer.prom"
    path.parent.mkdir()
    settings = msgspec.structs.replace(settings_at(tmp_path), trainer_metrics_file=str(path))
    train(settings, QUICK, JsonReporter())
    found = samples(path.read_text())
    assert found["run_status{complete}"] == 1
    assert found["steps_total"] == 400
    assert "process_" not in path.read_text()  # node_exporter has its own
    assert list(path.parent.iterdir()) == [path]


def test_a_file_after_a_failure(tmp_path: Path) -> None:
    """A run that leaves the numbers says so to who watches files."""
    path = tmp_path / "trainer.prom"
    settings = msgspec.structs.replace(settings_at(tmp_path), trainer_metrics_file=str(path))
    with pytest.raises(RunFailed):
        train(settings, HOT, JsonReporter())
    found = samples(path.read_text())
    assert found["run_status{failed}"] == 1
    assert found["step"] < 400


class Gateway(http.server.BaseHTTPRequestHandler):
    """Keeps what is pushed; answers with `status`."""

    status: ClassVar = HTTPStatus.OK
    pushed: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        """Keep it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.pushed.append((self.path, body.decode()))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def gateway(status: HTTPStatus) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The URL of a server that takes pushes, and what it was pushed."""
    kind = type("Kind", (Gateway,), {"status": status, "pushed": []})
    with http.server.HTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind.pushed  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def test_a_push_at_the_end(tmp_path: Path) -> None:
    """Under the job and the run, so that no training overwrites another's."""
    with gateway(HTTPStatus.OK) as (url, pushed):
        settings = msgspec.structs.replace(settings_at(tmp_path), pushgateway_url=f"{url}/")
        train(settings, QUICK, JsonReporter())
    assert {path for path, _ in pushed} == {"/metrics/job/grokprobe_trainer/run/tiny"}
    assert samples(pushed[-1][1])["run_status{complete}"] == 1


@pytest.mark.parametrize("listening", [True, False])
def test_a_push_that_fails_is_one_warning(
    tmp_path: Path, listening: bool, capsys: pytest.CaptureFixture[str], closed_port: int
) -> None:
    """Refused, or nobody there: training ends as it should."""
    with gateway(HTTPStatus.BAD_REQUEST) as (url, pushed):
        asked = url if listening else f"http://127.0.0.1:{closed_port}"
        settings = msgspec.structs.replace(settings_at(tmp_path), pushgateway_url=asked)
        train(settings, QUICK, JsonReporter())
    said = events(capsys.readouterr().out)
    [warning] = [event for event in said if event.get("kind") == "metrics"]
    assert f"cannot push metrics to {asked}" in str(warning["message"])
    assert bool(pushed) == listening  # more than once where training takes long


def test_a_place_warns_once(capsys: pytest.CaptureFixture[str], closed_port: int) -> None:
    """However often it fails; another place has a warning of its own."""
    metrics = TrainerMetrics()
    metrics.run = "tiny"
    settings = Settings(pushgateway_url=f"http://127.0.0.1:{closed_port}")
    for _ in range(2):
        with closing(MetricsWriter(settings, metrics, JsonReporter())) as beat:
            beat._push()
    assert [event["event"] for event in events(capsys.readouterr().out)] == ["warning"] * 2


def test_a_port_in_use_is_an_error_before_training(tmp_path: Path) -> None:
    """It names the setting; nothing is published, nothing goes on listening."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = msgspec.structs.replace(settings_at(tmp_path), trainer_metrics_port=port)
        with pytest.raises(
            SettingError, match=f"METRICS_PORT: cannot listen on http://127.0.0.1:{port} "
        ):
            train(settings, QUICK, JsonReporter())
    assert not (tmp_path / "store").exists()


def test_a_client_that_says_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It holds a thread of the trainer for SCRAPE_TIMEOUT_S and is no news; others are answered."""
    monkeypatch.setattr(Scrape, "timeout", 0.01)
    with (
        served(Settings(trainer_metrics_port=free_port()), TrainerMetrics()) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as silent,
    ):
        assert silent.recv(1) == b""
        monkeypatch.undo()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
    assert capfd.readouterr() == ("", "")


@needs_ipv6
@pytest.mark.parametrize("host", ["localhost", "::"])
def test_every_address_of_the_host_is_scraped(host: str) -> None:
    """Both kinds of address have the same metrics, and none once it is over."""
    with served(Settings(host=host, trainer_metrics_port=free_port()), TrainerMetrics()) as port:
        urls = [f"http://{address}:{port}/metrics" for address in ("127.0.0.1", "[::1]")]
        for url in urls:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                assert b"process_cpu_seconds_total" in answer.read()
    for url in urls:
        with pytest.raises(OSError):
            urllib.request.urlopen(url, timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*; q=.2", TEXT),
        ("application/openmetrics-text; version=abc", OPENMETRICS),
        ("text/plain;q=0.5, application/openmetrics-text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;q=0.1, text/plain", TEXT),
    ],
)
def test_metrics_in_the_form_that_is_asked_for(accept: str, expected: str) -> None:
    """As the service's own: by Accept, and never refused."""
    with served(Settings(trainer_metrics_port=free_port()), TrainerMetrics()) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        asked = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            assert answer.headers.get_all("Content-Type") == [expected]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"host": "192.0.2.1"}, "HOST: cannot listen on http://192.0.2.1:9 "),
        ({"host": "0.0.0.0", "open_metrics": False}, "asks for no key on 0.0.0.0"),
        ({"trainer_metrics_port": 0, "trainer_metrics_file": "/none/x.prom"}, "its folder is not"),
    ],
)
def test_what_cannot_be_had_is_refused(changes: dict[str, object], says: str) -> None:
    """An address of others, an open port where metrics are not open, a folder that is missing."""
    settings = msgspec.structs.replace(Settings(trainer_metrics_port=9), **changes)
    with pytest.raises(SettingError, match=says), metered(settings, JsonReporter()):
        pass


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TRAINER_METRICS_PORT", "99999", "<= 65535"),
        ("TRAINER_METRICS_FILE", "/var/trainer.txt", "expected a path that ends in .prom"),
        ("PUSHGATEWAY_URL", "pushgateway:9091", "expected an address such as http://"),
        ("PUSHGATEWAY_URL", "http://me:secret@host", "no password"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str, says: str) -> None:
    """By its variable, with what is allowed."""
    with pytest.raises(SettingError) as caught:
        read_settings({f"GROKPROBE_{name}": value})
    assert str(caught.value).startswith(f"GROKPROBE_{name}: ")
    assert says in str(caught.value)


def test_no_two_children_of_a_sweep_share_a_place() -> None:
    """The first has the port and the file of the settings, each other one its own."""
    settings = Settings(trainer_metrics_port=9464, trainer_metrics_file="/m/t.prom")
    found = [child_environment(settings, slot, 3) for slot in (0, 2)]
    log = {"GROKPROBE_LOG_FORMAT": "json", "OMP_NUM_THREADS": "3"}
    port, file = "GROKPROBE_TRAINER_METRICS_PORT", "GROKPROBE_TRAINER_METRICS_FILE"
    assert found == [log, {**log, port: "9466", file: "/m/t-2.prom"}]
    assert child_environment(Settings(), 2, 3) == log


def test_a_process_that_only_reports_trains_without_metrics(tmp_path: Path) -> None:
    """Nothing set: the reporter is handed on as it is."""
    reporter = JsonReporter()
    with metered(settings_at(tmp_path), reporter) as given:
        assert given is reporter
