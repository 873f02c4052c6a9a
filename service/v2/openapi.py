"""The OpenAPI entry of inference, whose body and answer the framework does not handle."""

from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

JSON, BINARY = "application/json", "application/octet-stream"
BYTES = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
INTEGERS = Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.INTEGER))
TEXT = Schema(type=OpenAPIType.STRING)
PARAMETERS = Schema(type=OpenAPIType.OBJECT)


def _object(required: list[str], **properties: Schema) -> Schema:
    return Schema(
        type=OpenAPIType.OBJECT,
        required=required,
        properties=dict(properties),
        additional_properties=False,
    )


def _list(items: Schema, **limits: Any) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=items, **limits)


PAIRS = _object(
    ["name", "shape", "datatype"],
    name=Schema(type=OpenAPIType.STRING, const="pairs"),
    shape=INTEGERS,
    datatype=Schema(type=OpenAPIType.STRING, const="INT64"),
    parameters=PARAMETERS,
    data=INTEGERS,
)
OUTPUT = _object(["name"], name=TEXT, parameters=PARAMETERS)
REQUEST = _object(
    ["inputs"],
    id=TEXT,
    model_name=TEXT,
    inputs=_list(PAIRS, min_items=1, max_items=1),
    outputs=_list(OUTPUT),
    parameters=PARAMETERS,
)
EXAMPLE = {
    "inputs": [{"name": "pairs", "shape": [1, 2], "datatype": "INT64", "data": [3, 5]}],
    "outputs": [{"name": "logits"}],
}


@dataclass
class WithTensors(Operation):
    """A request in JSON or with binary data after it, and an answer likewise."""

    def __post_init__(self) -> None:
        """Describe both."""
        tensors = OpenAPIMediaType(schema=REQUEST, example=EXAMPLE)
        self.request_body = RequestBody(content={JSON: tensors, BINARY: BYTES}, required=True)
        answer = (self.responses or {})["200"]
        assert isinstance(answer, OpenAPIResponse)
        answer.content = {**(answer.content or {}), BINARY: BYTES}
