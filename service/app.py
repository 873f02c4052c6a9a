"""The application, assembled by one function: the product and the tests call the same one."""

from pathlib import Path

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.static_files import create_static_files_router

from grokprobe.settings import Settings
from grokprobe.store.backends import Backends
from service import health
from service.context import Context
from service.events.feed import Feed
from service.explorer import explorer
from service.formats.answers import KeptAnswers
from service.http.asgi import AnyRequest, AnyResponse
from service.http.openapi import openapi_config
from service.http.preconditions import SettledRequest, settle
from service.http.problems import problem_response
from service.http.queries import check_query
from service.http.routing import BY_SETTING, Routes
from service.inference.checkpoints import Checkpoints
from service.inference.engine import Inference
from service.inference.results import Results
from service.inference.runtime import Runtime
from service.middleware.auth import ApiKeys, protect
from service.middleware.deadlines import Deadlines
from service.middleware.stack import edge
from service.rendering.renderer import Renderer
from service.runs.groups import GroupMembers
from service.runs.reconciling import make_reconciler
from service.runs.source import Source
from service.runs.views import RunViews
from service.telemetry.metrics import Metrics
from service.telemetry.requests import HTTPApp
from service.telemetry.statistics import Statistics
from service.v1.checkpoint.fast import fast_path
from service.v1.routes import V1
from service.v2.routes import V2

STATIC = Path(__file__).parent / "static"
FILES = {path.name for path in STATIC.iterdir() if path.is_file()}


def create_context(settings: Settings, backends: Backends, runtime: Runtime) -> Context:
    """What the routes work with, over open backends."""
    metrics = Metrics()
    source = Source(backends.catalogue, backends.archive, metrics)
    views = RunViews(source, metrics)
    answers = KeptAnswers(settings.answer_cache_bytes)
    metrics.answer_cache_bytes.set_function(lambda: answers.size)
    return Context(
        settings=settings,
        backends=backends,
        metrics=metrics,
        source=source,
        views=views,
        members=GroupMembers(source),
        checkpoints=Checkpoints(
            backends.archive,
            runtime,
            metrics,
            settings.session_cache_bytes,
            settings.max_model_bytes,
        ),
        inference=Inference(
            metrics,
            settings.max_in_flight,
            settings.grid_cache_bytes,
            settings.request_memory_bytes,
            settings.max_inference_s,
        ),
        derived=Results(metrics, settings.result_cache_bytes),
        answers=answers,
        renderer=Renderer(metrics, settings.renderer_memory_bytes, settings.pictures),
        feed=Feed(backends.events, views, metrics, settings.max_listeners),
        reconciler=make_reconciler(source, metrics),
        runtime=runtime,
        statistics=Statistics(),
    )


async def _refuse_unknown(request: AnyRequest) -> None:
    """What is no file there is not found; the framework fails where a name goes on after a file."""
    if request.path_params["file_path"].removeprefix("/") not in FILES:
        raise NotFoundException


async def _check_query(request: AnyRequest) -> AnyResponse | None:
    check_query(request)
    return None


def create_app(context: Context, keys: ApiKeys | None) -> HTTPApp:
    """The service as an ASGI application, for those who have one of the keys or for everybody.

    Whoever serves it keeps `context.feed` following and `context.reconciler` at work.
    """

    async def before_request(request: AnyRequest) -> AnyResponse | None:
        return await settle(context, request)

    static = create_static_files_router(
        "/static",
        directories=[STATIC],
        include_in_schema=False,
        opt=BY_SETTING,
        before_request=_refuse_unknown,
    )
    app = Litestar(
        route_handlers=[
            explorer(context.settings),
            health.livez,
            health.readyz,
            health.metrics,
            Router(
                "/v1",
                route_handlers=V1,
                request_class=SettledRequest,
                before_request=before_request,
            ),
            Router("/v2", route_handlers=V2, before_request=_check_query),
            static,
        ],
        dependencies={"context": Provide(lambda: context, sync_to_thread=False)},
        exception_handlers={Exception: problem_response},
        request_max_body_size=context.settings.max_body_bytes,
        openapi_config=openapi_config(context.settings.root_path),
        logging_config=None,
    )
    routes = Routes(app, context.settings.root_path)
    served: HTTPApp = Deadlines(fast_path(app, context))
    if keys is not None:
        served = protect(served, keys, context.metrics, routes, context.settings.open_metrics)
    return edge(served, context.metrics, context.settings.origins, routes)
