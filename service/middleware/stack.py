"""The order of the layers around the application, the outermost first."""

from service.http.routing import Routes
from service.middleware.compression import compress
from service.middleware.cors import cross_origin
from service.middleware.instrument import instrument
from service.middleware.root import rooted
from service.telemetry.metrics import Metrics
from service.telemetry.requests import HTTPApp


def edge(
    app: HTTPApp, metrics: Metrics, origins: frozenset[str], routes: Routes | None = None
) -> HTTPApp:
    """The application as the server runs it; without routes it lies at no root."""
    inner = cross_origin(compress(app), origins, routes)
    return instrument(rooted(inner, routes) if routes else inner, metrics)
