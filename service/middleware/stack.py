"""The order of the layers around the application, the outermost first."""

from service.middleware.compression import compress
from service.middleware.cors import cross_origin
from service.middleware.instrument import instrument
from service.telemetry.metrics import Metrics
from service.telemetry.requests import HTTPApp


def edge(app: HTTPApp, metrics: Metrics, origins: frozenset[str]) -> HTTPApp:
    """The application as the server runs it."""
    return instrument(cross_origin(compress(app), origins), metrics)
