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
from service.auth import Keys, protect
from service.bounds import Bounded
from service.checkpoints import Checkpoints, Runtime
from service.context import Context
from service.derived import Derived
from service.edge import edge
from service.events import Feed
from service.fast import fast_path
from service.inference import Inference
from service.members import Members
from service.metrics import Metrics
from service.openapi import openapi_config
from service.problems import problem_response
from service.queries import check_query
from service.routes import (
    embedding,
    emergence,
    events,
    groups,
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
from service.v2 import inference, models, repository, server
from service.v2.statistics import Statistics
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
    events.get_events,
    groups.get_group_emergence,
]

V2 = [
    server.get_server,
    server.get_live,
    server.get_ready,
    models.get_all_statistics,
    models.get_metadata,
    models.get_ready,
    models.get_config,
    models.get_statistics,
    inference.infer,
    repository.get_index,
    repository.load,
    repository.unload,
]


@get("/", include_in_schema=False)
async def index() -> Redirect:
    """A browser lands on the reader of the API."""
    return Redirect("/schema")


def create_context(settings: Settings, backends: Backends, runtime: Runtime) -> Context:
    """What the routes work with, over open backends."""
    metrics = Metrics()
    views = Views(backends.archive, backends.catalogue, metrics)
    return Context(
        settings=settings,
        backends=backends,
        metrics=metrics,
        views=views,
        members=Members(backends, views),
        checkpoints=Checkpoints(
            backends.archive,
            runtime,
            metrics,
            settings.session_cache_bytes,
            settings.max_model_bytes,
        ),
        inference=Inference(metrics, settings.max_in_flight, settings.grid_cache_bytes),
        derived=Derived(backends.catalogue, views, metrics),
        feed=Feed(backends.events, views, metrics, settings.max_listeners),
        runtime=runtime,
        statistics=Statistics(),
    )


async def _check_query(request: Request[Any, Any, Any]) -> Response[Any] | None:
    check_query(request)
    return None


def create_app(context: Context, keys: Keys | None) -> ASGIApp:
    """The service as an ASGI application, for those who have one of the keys or for everybody.

    Whoever serves it keeps `context.feed` following.
    """

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
            Router("/v2", route_handlers=V2, before_request=_check_query),
            static,
        ],
        dependencies={"context": Provide(lambda: context, sync_to_thread=False)},
        exception_handlers={Exception: problem_response},
        request_max_body_size=context.settings.max_body_bytes,
        openapi_config=openapi_config(),
        logging_config=None,
    )
    served: ASGIApp = Bounded(fast_path(app, context))
    if keys is not None:
        served = protect(served, keys, context.metrics, context.settings.open_metrics)
    return edge(served, context.metrics, context.settings.origins)
