"""The application, assembled by one function: the product and the tests call the same one."""

import asyncio
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, Router, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin, YamlRenderPlugin
from litestar.response import Redirect
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from service.bounds import Bounded
from service.checkpoints import Checkpoints, Runtime
from service.context import Context
from service.derived import Derived
from service.fast import fast_path
from service.inference import Inference
from service.metrics import Metrics, instrument
from service.problems import problem_response
from service.queries import check_query
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


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="grokprobe",
        version="1",
        description="Predictions, embedding coordinates and spectra of every checkpoint.",
        path="/schema",
        render_plugins=[
            # The reader's files are served from here: it works without internet.
            SwaggerRenderPlugin(
                js_url="/static/swagger-ui-bundle.js",
                css_url="/static/swagger-ui.css",
                standalone_preset_js_url="/static/swagger-ui-standalone-preset.js",
                favicon='<link rel="icon" href="data:,">',
                path=["/", "/swagger"],
            ),
            JsonRenderPlugin(),
            YamlRenderPlugin(),
        ],
    )


def create_context(settings: Settings, backends: Backends, runtime: Runtime) -> Context:
    """What the routes work with, over open backends."""
    metrics = Metrics()
    views = Views(backends.archive, backends.catalogue, metrics)
    return Context(
        settings=settings,
        backends=backends,
        metrics=metrics,
        views=views,
        checkpoints=Checkpoints(
            backends.archive,
            runtime,
            metrics,
            settings.session_cache_bytes,
            settings.max_model_bytes,
        ),
        inference=Inference(metrics, settings.max_in_flight, settings.grid_cache_bytes),
        derived=Derived(backends.catalogue, views, metrics),
        runtime=runtime,
        draining=asyncio.Event(),
    )


async def _before_request(request: Request[Any, Any, Any]) -> Response[Any] | None:
    check_query(request)
    return None


def create_app(context: Context) -> ASGIApp:
    """The service as an ASGI application without a lifespan of its own."""
    static = create_static_files_router("/static", directories=[STATIC], include_in_schema=False)
    app = Litestar(
        route_handlers=[
            index,
            health.livez,
            health.readyz,
            health.metrics,
            Router("/v1", route_handlers=V1, before_request=_before_request),
            static,
        ],
        dependencies={"context": Provide(lambda: context, sync_to_thread=False)},
        exception_handlers={Exception: problem_response},
        request_max_body_size=context.settings.max_body_bytes,
        openapi_config=_openapi(),
        logging_config=None,
    )
    return instrument(Bounded(fast_path(app, context)), context.metrics)
