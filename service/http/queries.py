"""Query parameters, checked before a handler runs: a misread one answers another question.

The framework ignores names that it does not know, takes the last of a repeated one, and reads
`1.0`, `1e1` and `null` as integers.
"""

import difflib
import re
from functools import lru_cache
from types import MappingProxyType, NoneType
from typing import Literal, get_args, get_origin
from urllib.parse import parse_qsl, quote

from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg

from grokprobe.errors import InvalidInput
from service.formats.pictures import has_pictures
from service.http.asgi import AnyRequest
from service.http.pictures import PARAMETERS
from service.http.resources import Resource

NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)


FORMAT = "format"  # the parameter that all have who offer formats: negotiation reads it
SHORT = 256  # bytes of a query that is worth keeping
Query = tuple[tuple[str, str], ...]


def check_query(request: AnyRequest) -> Query:
    """The query's names and values.

    Raises InvalidInput for a parameter that is unknown, repeated or of the wrong kind.
    """
    query = request.scope["query_string"]
    check = _checked if len(query) <= SHORT else _checked.__wrapped__
    return check(request.route_handler, query)


@lru_cache(maxsize=4096)  # clients ask the same of many checkpoints
def _checked(handler: HTTPRouteHandler, query: bytes) -> Query:
    known = query_parameters(handler)
    given = _parsed(query)
    for position, (name, value) in enumerate(given):
        if name not in known:
            raise InvalidInput(name, _unknown(name, sorted(known)))
        if any(name == earlier for earlier, _ in given[:position]):
            raise InvalidInput(name, "is given more than once")
        if complaint := _complaint(value, known[name]):
            raise InvalidInput(name, complaint)
    return given


def in_order(request: AnyRequest) -> Query:
    """The query's names and values as they stand; the framework keeps them in no order."""
    return _parsed(request.scope["query_string"])


def _parsed(query: bytes) -> Query:
    return tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True))


@lru_cache(maxsize=256)
def query_parameters(handler: HTTPRouteHandler) -> MappingProxyType[str, object]:
    """The query parameters of a route handler: name -> type, None taken out of unions."""
    injected = handler.resolve_dependencies()
    found: dict[str, object] = {
        field.kwarg_definition.name or field.name: _plain(field.annotation)
        for field in handler.parsed_fn_signature.parameters.values()
        if field.name not in injected
        and isinstance(field.kwarg_definition, ParameterKwarg)
        and field.kwarg_definition.param_type == ParamType.QUERY
    }
    resource: Resource | None = handler.opt.get("resource")
    if resource and resource.formats:
        found[FORMAT] = str
        found |= PARAMETERS if has_pictures(resource.formats) else {}
    return MappingProxyType(found)


def _plain(annotation: object) -> object:
    options = [a for a in get_args(annotation) if a is not NoneType]
    union = NoneType in get_args(annotation)
    return options[0] if union and len(options) == 1 else annotation


def _unknown(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"is not a parameter here (known: {', '.join(known) or 'none'}){hint}"


def _complaint(value: str, kind: object) -> str | None:
    if kind is int and not INTEGER.fullmatch(value):
        return f"expected an integer of at most 19 digits, got {value[:40]!r}"
    if kind is float and not NUMBER.fullmatch(value):
        return f"expected a number, got {value[:40]!r}"
    if get_origin(kind) is Literal and value not in get_args(kind):
        meant = value.replace(" ", "+")  # how a + that is not written %2B arrives
        hint = f"; + is written %2B here: {quote(meant)}" if meant in get_args(kind) else ""
        return f"must be one of {', '.join(get_args(kind))}, got {value[:40]!r}{hint}"
    return None
