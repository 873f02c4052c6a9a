"""The OpenAPI document: what the framework cannot know of the routes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from litestar import Router
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Server,
)
from litestar.openapi.spec.enums import OpenAPIType

from service.formats.pictures import has_pictures, names_of
from service.formats.registry import Formats
from service.http import problems
from service.http.asgi import AnyRequest
from service.http.parameters import PATH
from service.http.pictures import SCALES, WIDTHS
from service.http.queries import FORMAT
from service.http.resources import Resource, RestsOn
from service.http.routing import ANYBODY, BY_SETTING


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The problem responses of a route, for its OpenAPI entry; those of keys are every route's."""
    return {
        status: ResponseSpec(
            problems.Problem,
            generate_examples=False,
            media_type=problems.MEDIA_TYPE,
            description="A problem, by RFC 9457.",
        )
        for status in sorted({401, 429, *statuses})
    }


def offering(
    formats: Formats,
    statuses: Mapping[int, ResponseSpec],
    rests_on: RestsOn | None = None,
    body: RequestBody | None = None,
    named_by: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A route's formats, its problems and what its answers rest on: the work and the document.

    With a body it is a POST, whose answer has no ETag. What rests on something that is known can be
    read by parts once that does not change any more.
    """
    validated, by_parts = body is None, rests_on is not None
    more = {**({304: NOT_MODIFIED} if validated else {}), **(OF_PARTS if by_parts else {})}
    return {
        "opt": {"resource": Resource(formats, rests_on, body is not None, named_by)},
        "responses": {**statuses, **more},
        "operation_class": operation(formats, validated, by_parts, body),
    }


NOT_MODIFIED = ResponseSpec(None, description="What If-None-Match names still stands.")
OF_PARTS = documented(412, 416)
OF_A_LIST = documented(400, 406, 503, 504)
OF_A_RUN = documented(400, 404, 406, 500, 503, 504)
OF_A_GROUP = documented(400, 404, 406, 413, 500, 503, 504)
OF_A_CHECKPOINT = documented(400, 404, 406, 422, 500, 503, 504)


TEXT = Schema(type=OpenAPIType.STRING)
OBJECT = Schema(type=OpenAPIType.OBJECT)
BYTES = "The bytes asked for, where the answer never changes."


def _header(name: str, description: str) -> Parameter:
    return Parameter(name=name, param_in="header", schema=TEXT, description=description)


IF_NONE_MATCH = _header("If-None-Match", "The ETag of an answer that you have: 304 if it stands.")
RANGES = [
    _header("Range", "One range of bytes."),
    _header("If-Range", "The ETag of the answer whose part you have; another is sent whole."),
]


OF_PICTURES = [
    Parameter(
        name="theme",
        param_in="query",
        schema=Schema(type=OpenAPIType.STRING, enum=["light", "dark"]),
        description="The colours of a picture.",
    ),
    Parameter(
        name="scale",
        param_in="query",
        schema=Schema(type=OpenAPIType.NUMBER, minimum=SCALES[0], maximum=SCALES[1]),
        description="How large a png is: pixels for each of the chart.",
    ),
    Parameter(
        name="width",
        param_in="query",
        schema=Schema(type=OpenAPIType.INTEGER, minimum=WIDTHS[0], maximum=WIDTHS[1]),
        description="Instead of `scale`: how many pixels wide a png is.",
    ),
]


def operation(
    formats: Formats, validated: bool, by_parts: bool, body: RequestBody | None = None
) -> type[Operation]:
    """The entry of a route that offers these formats, with an ETag or without, or ranges.

    `body` is of a kind that the framework does not decode.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = body
            parameters = sorted(map(_described, self.parameters or []), key=_place)
            self.responses = responses = dict(self.responses or {})
            answer = responses["200"]
            assert isinstance(answer, OpenAPIResponse)
            answer.content = _offered(answer.content or {}, formats)
            if formats:
                parameters.append(_format(formats))
                parameters += OF_PICTURES if has_pictures(formats) else []
            if validated:
                parameters.append(IF_NONE_MATCH)
                answer.headers = {"ETag": OpenAPIHeader(schema=TEXT)}
            if by_parts:
                parameters += RANGES
                parts = dict.fromkeys(answer.content, OpenAPIMediaType())
                responses["206"] = replace(answer, content=parts, description=BYTES)
            self.parameters = [*parameters]

    return Described


@dataclass
class Keyless(Operation):
    """The entry of a route that needs no key, whatever the document says of all."""

    def __post_init__(self) -> None:
        """Say so."""
        self.security = []


# What a route for anybody states, for the work and for the document.
HEALTH: dict[str, Any] = {"opt": ANYBODY, "operation_class": Keyless}


def _offered(found: dict[str, OpenAPIMediaType], formats: Formats) -> dict[str, OpenAPIMediaType]:
    """Every media type of an answer; those of a file are known already."""
    types = [known.media_type for known in formats] or list(found)
    others = {kind: OpenAPIMediaType(OBJECT if kind.endswith("+json") else TEXT) for kind in types}
    return {kind: found.get(kind, others[kind]) for kind in types}


def _format(formats: Formats) -> Parameter:
    """The parameter by which one of them is chosen."""
    return Parameter(
        name=FORMAT,
        param_in="query",
        schema=Schema(type=OpenAPIType.STRING, enum=names_of(formats)),
        description="The representation; it wins over Accept.",
    )


def _place(parameter: Parameter) -> int:
    """Where a parameter stands: those of the path first, which the framework keeps in no order."""
    return [*PATH, parameter.name].index(parameter.name)


def _described(parameter: Parameter | Reference) -> Parameter:
    """A parameter as it may be given: never null; the framework loses a bound of 0 beside null."""
    assert isinstance(parameter, Parameter)
    assert isinstance(parameter.schema, Schema)
    schema = parameter.schema
    if parameter.param_in == "path" and parameter.name in PATH:  # not described where not taken
        parameter = replace(parameter, description=PATH[parameter.name])
        schema = replace(schema, description=PATH[parameter.name])
    elif schema.enum:
        values = [value for value in schema.enum if value is not None]
        schema = replace(schema, type=OpenAPIType.STRING, enum=values)
    elif schema.one_of:
        kinds = (k.type for k in schema.one_of if isinstance(k, Schema))
        [kind] = (kind for kind in kinds if kind != OpenAPIType.NULL)
        schema = replace(schema, one_of=None, type=kind)
        if kind == OpenAPIType.INTEGER:
            schema.minimum = schema.minimum or 0
        elif kind == OpenAPIType.NUMBER:
            schema.exclusive_minimum = schema.exclusive_minimum or 0
    return replace(parameter, schema=schema)


async def _refuse_unknown(request: AnyRequest) -> None:
    """The framework has a page of its own for what it does not know below /schema."""
    if "path" in request.path_params:
        raise NotFoundException


def openapi_config(root: str) -> OpenAPIConfig:
    """The document and its reader, whose files are served from here: it works offline.

    `root` is what a proxy puts before our paths.
    """
    return OpenAPIConfig(
        title="grokprobe",
        version=version("grokprobe"),
        servers=[Server(root or "/")],
        description=(
            "Predictions, embedding coordinates and spectra of every checkpoint. With the header "
            "X-Request-Timeout-Ms any request is answered within that time, by 504 at the latest."
        ),
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        security=[{}, {"key": []}],  # a key is needed where the service has keys
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt=BY_SETTING,
            before_request=_refuse_unknown,
        ),
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{root}/static/swagger-ui-bundle.js",
                css_url=f"{root}/static/swagger-ui.css",
                standalone_preset_js_url=f"{root}/static/swagger-ui-standalone-preset.js",
                favicon='<link rel="icon" href="data:,">',
                path=["/", "/swagger"],
            ),
            JsonRenderPlugin(),
            YamlRenderPlugin(),
        ],
    )
