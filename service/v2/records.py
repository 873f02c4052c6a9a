"""The JSON of the protocol, with Triton's names. In shapes -1 stands for any number of pairs."""

from typing import Annotated, Any, Literal

import msgspec

from service.telemetry.statistics import ModelStatistics

Datatype = Literal["INT64", "FP32", "BYTES"]

# -- the server and its models -------------------------------------------------------------------


class ServerMetadata(msgspec.Struct):
    """Who answers, and which extensions of the protocol it offers."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(msgspec.Struct):
    """The process runs."""

    live: bool


class ServerReady(msgspec.Struct, omit_defaults=True):
    """Whether the process may take traffic; if not, why."""

    ready: bool
    error: str = ""


class ModelReady(msgspec.Struct):
    """A model that is loaded."""

    name: str
    ready: bool


class TensorMetadata(msgspec.Struct):
    """An input or output of a model."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(msgspec.Struct):
    """A run: its checkpoints as versions, and what one of them takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(msgspec.Struct):
    """An input or output in a model's configuration."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfig(msgspec.Struct):
    """The part of Triton's ModelConfig that says something here."""

    name: str
    platform: str
    backend: str
    version_policy: dict[str, dict[str, int]]
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]
    default_model_filename: str


class StatisticsAnswer(msgspec.Struct):
    """The statistics of checkpoints."""

    model_stats: list[ModelStatistics]


# -- the repository ------------------------------------------------------------------------------


class IndexRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`ready`: only runs with a checkpoint."""

    ready: bool = False


class IndexEntry(msgspec.Struct):
    """A run at its latest step."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class RepositoryRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What comes with load and unload."""

    parameters: dict[str, msgspec.Raw] = {}


# -- inference -----------------------------------------------------------------------------------
# Parameters are open by the protocol: those that are not known have no effect.


class InputParameters(msgspec.Struct, frozen=True):
    """`binary_data_size`: the bytes of this input after the JSON."""

    binary_data_size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    shared_memory_region: str | None = None


class OutputParameters(msgspec.Struct, frozen=True):
    """`classification`: the k largest values instead of all."""

    binary_data: bool | None = None
    classification: Annotated[int, msgspec.Meta(ge=1)] | None = None
    shared_memory_region: str | None = None


class RequestParameters(msgspec.Struct, frozen=True):
    """`binary_data_output`: what holds for outputs that say nothing of their own."""

    binary_data_output: bool = False
    sequence_id: int | str = 0


class InputTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The pairs; their data is decoded once shape and datatype are known to be right."""

    name: str
    shape: list[int]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: msgspec.Raw = msgspec.Raw()


class RequestedOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output by name, and how it is to be given."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request; without outputs all of the model's are given. KServe's client names the model."""

    inputs: list[InputTensor]
    outputs: list[RequestedOutput] = []
    model_name: str | None = None
    id: str = ""
    parameters: RequestParameters = RequestParameters()


class BinarySize(msgspec.Struct):
    """The bytes of an output after the JSON."""

    binary_data_size: int


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """An output: its data in row-major order, or how many bytes of it follow the JSON."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: BinarySize | None = None
    data: list[Any] | None = None  # numbers, or text of classes


class InferAnswer(msgspec.Struct, omit_defaults=True):
    """Outputs in the order in which they were asked for; `id` is the request's."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str = ""
