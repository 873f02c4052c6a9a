"""The application, assembled by one function: the product and the tests call the same one."""

from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.di import Provide
from litestar.response import Redirect
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from service.answers import settle
from service.checkpoints import Checkpoints, Runtime
from service.context import Context
from service.edge import edge
from service.inference import Inference
from service.metrics import Metrics
from service.openapi import openapi_config
from service.problems import problem_response
from service.routes import (
    embedding,
    emergence,
    health,
    logits,
    measures,
    model,
    neurons,
    predictions,
    runs,
    spectrum,
    trajectory,
    weights,
)
from service.views import Views

STATIC = Path(__file__).parent / "static"

V1 = [
    runs.list_runs,
    runs.get_run,
    runs.list_checkpoints,
    runs.get_checkpoint,
    predictions.post_predictions,
    predictions.get_predictions,
    logits.get_logits,
    embedding.get_embedding,
    spectrum.get_spectrum,
    neurons.get_neurons,
    measures.get_measures,
    model.get_model,
    weights.list_weights,
    weights.get_weight,
    trajectory.get_trajectory,
    trajectory.get_spectra,
    emergence.get_emergence,
]


@get("/", include_in_schema=False)
async def index() -> Redirect:
    """A browser lands on the reader of the API."""
    return Redirect("/schema")


def _context(settings: Settings, backends: Backends, runtime: Runtime) -> Context:
    metrics = Metrics()
    return Context(
        settings=settings,
        backends=backends,
        metrics=metrics,
        views=Views(backends.archive, backends.catalogue, metrics),
        checkpoints=Checkpoints(
            backends.archive,
            runtime,
            metrics,
            settings.session_cache_bytes,
            settings.max_model_bytes,
        ),
        inference=Inference(metrics, settings.max_in_flight),
        runtime=runtime,
    )


def create_app(settings: Settings, backends: Backends, runtime: Runtime) -> ASGIApp:
    """The service over open backends, as an ASGI application without a lifespan of its own."""
    context = _context(settings, backends, runtime)

    async def before_request(request: Request[Any, Any, Any]) -> Response[Any] | None:
        return await settle(context, request)

    static = create_static_files_router("/static", directories=[STATIC], include_in_schema=False)
    app = Litestar(
        route_handlers=[
            index,
            health.livez,
            health.readyz,
            health.metrics,
            Router("/v1", route_handlers=V1, before_request=before_request),
            static,
        ],
        dependencies={"context": Provide(lambda: context, sync_to_thread=False)},
        exception_handlers={Exception: problem_response},
        request_max_body_size=settings.max_body_bytes,
        openapi_config=openapi_config(),
        logging_config=None,
    )
    return edge(app, context.metrics, settings.origins)
