"""The order of the layers around the application, the outermost first."""

from litestar.types import ASGIApp

from service.middleware.compression import compress
from service.middleware.cors import cross_origin
from service.middleware.instrument import instrument
from service.telemetry.metrics import Metrics


def edge(app: ASGIApp, metrics: Metrics, origins: frozenset[str]) -> ASGIApp:
    """The application as the server runs it."""
    return instrument(cross_origin(compress(app), origins), metrics)
