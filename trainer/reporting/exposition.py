"""Where the metrics of a training can be had: on a port, in a file, at a Pushgateway."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    make_wsgi_app,
    pushadd_to_gateway,
    write_to_textfile,
)
from prometheus_client.exposition import ThreadingWSGIServer

from grokprobe.addresses import listen
from grokprobe.errors import SettingError
from grokprobe.preferences import accepted_exposition
from grokprobe.settings import Settings, variable
from trainer.reporting.metrics import MeteredReporter, TrainerMetrics
from trainer.reporting.progress import Reporter

BEAT_S = 15.0  # between two writes of the file, and two pushes
PUSH_TIMEOUT_S = 5.0
SCRAPE_TIMEOUT_S = 10.0  # a client that sends nothing is cut off
JOB = "grokprobe_trainer"  # the Pushgateway groups by job and run


class Scrape(WSGIRequestHandler):
    """Answers one scrape; a client that has gone or says nothing is cut off, and is no news."""

    timeout = SCRAPE_TIMEOUT_S

    def handle(self) -> None:
        """Answer the request."""
        with suppress(OSError):
            super().handle()

    def get_environ(self) -> dict[str, str]:
        """What the answer is made from; prometheus_client fails on some versions in Accept."""
        found: dict[str, str] = super().get_environ()
        return found | {"HTTP_ACCEPT": accepted_exposition(found.get("HTTP_ACCEPT", ""))}

    def log_message(self, *_: object) -> None:
        """Log no scrape."""


class Server(ThreadingWSGIServer):
    """prometheus_client's own, on a socket that listens already."""

    def __init__(self, listener: socket.socket, registry: CollectorRegistry) -> None:
        super().__init__(listener.getsockname()[:2], Scrape, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(make_wsgi_app(registry))


@contextmanager
def served(settings: Settings, metrics: TrainerMetrics) -> Iterator[int]:
    """Serve the metrics from threads; gives the port. Raises SettingError if it cannot be had."""
    host, port = settings.host, settings.trainer_metrics_port
    name = variable("trainer_metrics_port")
    if not (settings.open_metrics or settings.on_loopback):
        message = f"asks for no key on {host}, which {variable('open_metrics')}=false forbids"
        raise SettingError(name, message)
    registry = metrics.registry
    ProcessCollector(registry=registry)
    with ExitStack() as opened:
        for listener in listen(host, port, name):
            server = opened.enter_context(Server(listener, registry))
            thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
            thread.start()
            opened.callback(thread.join)
            opened.callback(server.shutdown)
        yield port


class MetricsWriter:
    """Writes and pushes the metrics every BEAT_S in a thread, and once more at the end."""

    def __init__(self, settings: Settings, metrics: TrainerMetrics, reporter: Reporter) -> None:
        self._file, self._url = settings.trainer_metrics_file, settings.pushgateway_url
        self._metrics, self._reporter = metrics, reporter
        self._registry = metrics.registry
        self._warned: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-beat", daemon=True)
        if self._file and not Path(self._file).absolute().parent.is_dir():
            raise SettingError(variable("trainer_metrics_file"), "its folder is not there")
        self._thread.start()

    def close(self) -> None:
        """Write and push what is known at the end; never longer than two pushes take."""
        self._ended.set()
        self._thread.join(2 * PUSH_TIMEOUT_S)
        self._write()
        if not self._thread.is_alive():  # it would be in a push that does not end
            self._push()

    def _run(self) -> None:
        while not self._ended.wait(BEAT_S):
            self._write()
            self._push()

    def _write(self) -> None:
        if not (self._file and self._metrics.run):
            return
        try:
            write_to_textfile(self._file, self._registry)  # beside it, then renamed
        except OSError as error:
            self._warn(f"cannot write metrics to {self._file}: {error.strerror}")

    def _push(self) -> None:
        if not (self._url and self._metrics.run):
            return
        group = {"run": self._metrics.run}
        try:
            pushadd_to_gateway(self._url, JOB, self._registry, group, PUSH_TIMEOUT_S)
        except (OSError, HTTPException, ValueError) as error:
            self._warn(f"cannot push metrics to {self._url}: {error}")

    def _warn(self, message: str) -> None:
        """Warn once of each place: it would say the same every BEAT_S."""
        place = message.partition(":")[0]
        if place not in self._warned:
            self._warned.add(place)
            self._reporter.warn(f"{message}; training goes on", "metrics")


@contextmanager
def metered(settings: Settings, reporter: Reporter) -> Iterator[Reporter]:
    """The reporter, closed at the end, with metrics wherever the settings want them.

    Raises SettingError, before anything is trained, for a port or a file that cannot be had.
    """
    with closing(reporter), ExitStack() as stack:
        wanted = settings.trainer_metrics_file or settings.pushgateway_url
        if not (settings.trainer_metrics_port or wanted):
            yield reporter
            return
        metrics = TrainerMetrics()
        if settings.trainer_metrics_port:
            stack.enter_context(served(settings, metrics))
        counting = MeteredReporter(metrics, reporter)
        if wanted:
            stack.enter_context(closing(MetricsWriter(settings, metrics, counting)))
        try:
            yield counting
        except Exception:
            metrics.status = "failed"
            raise
