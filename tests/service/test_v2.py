"""The inference protocol by its unmodified client, sync and asyncio."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient import http as triton
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from grokprobe.settings import Settings
from grokprobe.store.backends import open_backends
from service.telemetry.statistics import MAX_CHECKPOINTS, Statistics
from tests.support.served import Served, serving
from tests.support.tiny import tiny_run
from tests.support.trained import TINY_STEPS

RUN = "/v1/runs/tiny/checkpoints"
PAIRS = np.array([[3, 5], [12, 0], [7, 7]])

Client = Callable[..., Any]  # a method's name and its arguments -> its result


def given(pairs: NDArray[np.int64] = PAIRS, binary: bool = True) -> list[Any]:
    """The input of a request."""
    tensor = triton.InferInput("pairs", list(pairs.shape), "INT64")
    return [tensor.set_data_from_numpy(pairs, binary_data=binary)]


@pytest.fixture(params=["sync", "asyncio"])
def call(request: pytest.FixtureRequest, served: Served) -> Client:
    """Call a method of a new client of the run `tiny`'s service."""
    address = served.url.removeprefix("http://")

    def sync(name: str, *args: Any, **kwargs: Any) -> Any:
        with triton.InferenceServerClient(address) as client:
            return getattr(client, name)(*args, **kwargs)

    async def asynchronous(name: str, *args: Any, **kwargs: Any) -> Any:
        async with aio.InferenceServerClient(address) as client:
            return await getattr(client, name)(*args, **kwargs)

    def run(name: str, *args: Any, **kwargs: Any) -> Any:
        return asyncio.run(asynchronous(name, *args, **kwargs))

    return sync if request.param == "sync" else run


OFFERED: dict[str, tuple[Any, ...]] = {
    "is_server_live": (),
    "is_server_ready": (),
    "is_model_ready": ("tiny",),
    "get_server_metadata": (),
    "get_model_metadata": ("tiny", "40"),
    "get_model_config": ("tiny",),
    "get_model_repository_index": (),
    "load_model": ("tiny",),
    "unload_model": ("tiny",),
    "get_inference_statistics": (),
    "infer": ("tiny", given()),
}
REFUSED: dict[str, tuple[Any, ...]] = {
    "get_trace_settings": ("tiny",),
    "update_trace_settings": (None, {"trace_rate": "1"}),
    "get_log_settings": (),
    "update_log_settings": ({"log_verbose_level": 1},),
    "get_system_shared_memory_status": (),
    "register_system_shared_memory": ("region", "/key", 16),
    "unregister_system_shared_memory": ("region",),
    "get_cuda_shared_memory_status": ("region",),
    "register_cuda_shared_memory": ("region", "handle", 0, 16),
    "unregister_cuda_shared_memory": (),
}
# Of the library alone, and infer in a greenlet, which has a test of its own.
OTHERS = {"close", "plugin", "register_plugin", "unregister_plugin", "async_infer"}
OTHERS |= {"generate_request_body", "parse_response_body"}


@pytest.mark.parametrize("kind", [triton.InferenceServerClient, aio.InferenceServerClient])
def test_no_method_is_forgotten(kind: type) -> None:
    """Whatever the client can call is in one of the lists above."""
    public = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
    assert public - OTHERS == OFFERED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", OFFERED)
def test_what_is_offered(call: Client, name: str) -> None:
    """Each call is answered."""
    assert call(name, *OFFERED[name]) is not False


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/tiny/ready", {"name": "tiny", "ready": True}),
        ("/v2/models/tiny/versions/40/ready", {"name": "tiny", "ready": True}),
    ],
)
def test_what_is_ready_says_so_in_json(
    client: httpx.Client, path: str, says: dict[str, object]
) -> None:
    """As the protocol has it: some clients read the status, others the body."""
    for spelt in (path, f"{path}/"):
        answer = client.get(spelt)
        assert (answer.status_code, answer.json()) == (200, says)
        assert answer.headers["content-type"] == "application/json"
        head = client.head(spelt)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(call: Client, name: str) -> None:
    """Each call gets an error that the client can read."""
    with pytest.raises(InferenceServerException, match="is not offered; GET /v2") as caught:
        call(name, *REFUSED[name])
    assert caught.value.status() == "404"


def logits(client: httpx.Client, pairs: NDArray[np.int64], step: int) -> NDArray[np.float32]:
    """The same by the other API."""
    body = {"pairs": pairs.tolist(), "include": ["logits"]}
    answer = client.post(f"{RUN}/{step}/predictions", json=body).json()
    return np.array([row["logits"] for row in answer["predictions"]], dtype=np.float32)


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("unpacked", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [(True, True), (True, False), (False, True), (False, False)])
def test_every_way_to_send_and_to_receive(
    call: Client,
    client: httpx.Client,
    packed: str | None,
    unpacked: str | None,
    binary: tuple[bool, bool],
) -> None:
    """JSON and binary, in and out, packed and not, give the same numbers, bit by bit."""
    answer = call(
        "infer",
        "tiny",
        given(binary=binary[0]),
        model_version="40",
        outputs=[triton.InferRequestedOutput("logits", binary_data=binary[1])],
        request_id="mine",
        request_compression_algorithm=packed,
        response_compression_algorithm=unpacked,
    )
    response = answer.get_response()
    assert (response["id"], response["model_version"]) == ("mine", "40")
    assert ("data" in response["outputs"][0]) is not binary[1]
    assert np.array_equal(answer.as_numpy("logits"), logits(client, PAIRS, 40))


def test_infer_in_a_greenlet(served: Served, client: httpx.Client) -> None:
    """`async_infer` of the sync client, several at once."""
    with triton.InferenceServerClient(served.url.removeprefix("http://"), concurrency=4) as sync:
        waiting = [sync.async_infer("tiny", given(), str(step)) for step in TINY_STEPS[:8]]
        found = [each.get_result().as_numpy("logits") for each in waiting]
    for step, output in zip(TINY_STEPS, found, strict=False):
        assert np.array_equal(output, logits(client, PAIRS, step))


def test_a_body_made_by_the_library(served: Served) -> None:
    """What `generate_request_body` makes is understood, and `parse_response_body` the answer."""
    body, length = triton.InferenceServerClient.generate_request_body(given())
    header = {"Inference-Header-Content-Length": str(length)}
    answer = served.client.post("/v2/models/tiny/infer", content=body, headers=header)
    size = int(answer.headers["Inference-Header-Content-Length"])
    parsed = triton.InferenceServerClient.parse_response_body(answer.content, header_length=size)
    assert parsed.as_numpy("logits").shape == (3, 13)


def test_only_pairs(served: Served) -> None:
    """A JSON length of 0: the body is the pairs, and every output comes in binary."""
    header = {"Inference-Header-Content-Length": "0"}
    answer = served.client.post(
        "/v2/models/tiny/infer", content=PAIRS.astype("<i8").tobytes(), headers=header
    )
    assert answer.headers["content-type"] == "application/octet-stream"
    text = answer.content[: int(answer.headers["Inference-Header-Content-Length"])]
    assert msgspec.json.decode(text)["outputs"][0]["shape"] == [3, 13]


def test_nested_data(client: httpx.Client) -> None:
    """JSON data may have a list for each pair; without a parameter the answer is JSON."""
    tensor = {"name": "pairs", "shape": [3, 2], "datatype": "INT64", "data": PAIRS.tolist()}
    body = {"inputs": [tensor], "outputs": [{"name": "logits"}]}
    answer = client.post("/v2/models/tiny/versions/40/infer", json=body)
    assert answer.json()["outputs"][0]["data"] == logits(client, PAIRS, 40).ravel().tolist()
    # httpx offers several encodings, as aiohttp does, which then does not unpack them.
    assert "content-encoding" not in answer.headers


def test_every_output_has_the_shape_that_metadata_says(call: Client) -> None:
    """All outputs by default; also of more pairs than are run at once, fixed ones once."""
    metadata = call("get_model_metadata", "tiny")
    many = np.tile(PAIRS, (1000, 1))
    answer = call("infer", "tiny", given(many))
    for output in metadata["outputs"]:
        shape = tuple(len(many) if size == -1 else size for size in output["shape"])
        assert answer.as_numpy(output["name"]).shape == shape
    assert {output["name"] for output in metadata["outputs"]} >= {"logits", "embedding"}
    few = call("infer", "tiny", given()).as_numpy("embedding")
    assert np.array_equal(answer.as_numpy("embedding"), few)


@pytest.mark.parametrize("binary", [True, False])
def test_classification(call: Client, client: httpx.Client, binary: bool) -> None:
    """The k largest logits of each pair as `value:index`, largest first, bit by bit."""
    wanted = triton.InferRequestedOutput("logits", binary_data=binary, class_count=4)
    found = call("infer", "tiny", given(), "40", [wanted]).as_numpy("logits")
    expected = logits(client, PAIRS, 40)
    order = np.argsort(-expected, axis=1)[:, :4]
    assert found.shape == (3, 4)
    for row, column in np.ndindex(found.shape):
        text = found[row, column].decode() if binary else found[row, column]
        value, index = text.split(":")
        assert int(index) == order[row, column]
        assert np.float32(value) == expected[row, int(index)]


@pytest.mark.parametrize(
    ("version", "step"), [("", 400), ("0", 0), ("first", 0), ("memorised", None)]
)
def test_versions(call: Client, client: httpx.Client, version: str, step: int | None) -> None:
    """A version is a step or a label; none is the latest."""
    if step is None:
        step = client.get("/v1/runs/tiny").json()["memorised_step"]
    answer = call("infer", "tiny", given(), version)
    assert answer.get_response()["model_version"] == str(step)


def test_metadata_and_configuration(call: Client) -> None:
    """Versions are the steps, and metadata and configuration agree."""
    metadata, config = call("get_model_metadata", "tiny"), call("get_model_config", "tiny", "40")
    assert metadata["versions"] == [str(step) for step in TINY_STEPS]
    assert metadata["platform"] == config["platform"] == "onnxruntime_onnx"
    assert config["max_batch_size"] == 0
    for part in ("input", "output"):
        told = [(t["name"], f"TYPE_{t['datatype']}", t["shape"]) for t in metadata[f"{part}s"]]
        assert told == [(t["name"], t["data_type"], t["dims"]) for t in config[part]]


# -- the repository, statistics, metrics ---------------------------------------------------------


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service over the runs `a.b-1.0_c` and `stats`, and `empty`, which has no checkpoint."""
    folder = tmp_path_factory.mktemp("several")
    settings = Settings(home=str(folder / "home"), log_format="json")
    asyncio.run(_publish(settings))
    with serving(settings, folder) as found:
        yield found


async def _publish(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        for name in ("a.b-1.0_c", "stats"):
            await tiny_run(name).publish(backends)
        empty = tiny_run("empty").manifest
        await backends.publisher.publish_run(empty, tiny_run("empty").train_mask)
        await backends.catalogue.reconcile(backends.archive, "empty")


@pytest.fixture
def library(several: Served) -> Iterator[Any]:
    """The sync client of that service."""
    with triton.InferenceServerClient(several.url.removeprefix("http://")) as client:
        yield client


def test_the_index(library: Any, several: Served) -> None:
    """Every run at its latest step; on request only those that have a checkpoint."""
    ready = [
        {"name": name, "version": "200", "state": "READY", "reason": ""}
        for name in ("a.b-1.0_c", "stats")
    ]
    found = library.get_model_repository_index()
    assert [entry for entry in found if entry["state"] == "READY"] == ready
    assert [entry["name"] for entry in found] == ["a.b-1.0_c", "empty", "stats"]
    assert several.client.post("/v2/repository/index", json={"ready": True}).json() == ready
    assert not library.is_model_ready("empty")


def sample(client: httpx.Client, name: str) -> float:
    """A metric of the session cache."""
    lines = client.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"grokprobe_{name} ")))


def test_load_and_unload(library: Any, several: Served) -> None:
    """Load makes the next request find its checkpoint; unload makes it load again."""
    library.load_model("a.b-1.0_c/versions/10")
    library.load_model("a.b-1.0_c")
    misses = sample(several.client, "session_cache_misses_total")
    for version in ("10", "", "10"):
        library.infer("a.b-1.0_c", given(PAIRS % 7), version)
    assert sample(several.client, "session_cache_misses_total") == misses
    held = sample(several.client, "session_cache_bytes")
    library.unload_model("a.b-1.0_c/versions/10")
    assert 0 < sample(several.client, "session_cache_bytes") < held
    library.unload_model("a.b-1.0_c")
    library.infer("a.b-1.0_c", given(PAIRS % 7))
    assert sample(several.client, "session_cache_misses_total") == misses + 1


def test_statistics(library: Any) -> None:
    """Real counts and times of each version: successes, failures, and where the time went."""
    for _ in range(3):
        library.infer("stats", given(PAIRS % 7), "10")
    with pytest.raises(InferenceServerException):
        library.infer("stats", given(PAIRS + 7), "10")
    [found] = library.get_inference_statistics("stats", "10")["model_stats"]
    times = found["inference_stats"]
    phases = ("queue", "compute_input", "compute_infer", "compute_output")
    assert (found["inference_count"], found["execution_count"]) == (3, 3)
    assert {name: times[name]["count"] for name in (*phases, "success")} == dict.fromkeys(
        (*phases, "success"), 3
    )
    assert all(times[name]["ns"] > 0 for name in (*phases, "success", "fail"))
    assert sum(times[name]["ns"] for name in phases) == times["success"]["ns"] < 10**10
    assert (times["fail"]["count"], times["cache_hit"], times["cache_miss"]) == (
        1,
        {"count": 0, "ns": 0},
        {"count": 0, "ns": 0},
    )
    versions = library.get_inference_statistics("stats")["model_stats"]
    assert [(entry["version"], entry["inference_count"]) for entry in versions] == [
        ("0", 0),
        ("10", 3),
        ("200", 0),
    ]
    asked = library.get_inference_statistics()["model_stats"]
    assert ("stats", "10", 3) in {(e["name"], e["version"], e["inference_count"]) for e in asked}


def test_statistics_are_bounded() -> None:
    """Those of the checkpoints asked for longest ago are forgotten."""
    statistics = Statistics()
    for step in (*range(MAX_CHECKPOINTS), 0, MAX_CHECKPOINTS):
        with statistics.request("tiny", step):
            pass
    assert len(statistics.all()) == MAX_CHECKPOINTS
    assert statistics.of("tiny", 0).inference_count == 2
    assert statistics.of("tiny", 1).inference_count == 0


def test_metrics_name_no_model(library: Any, several: Served) -> None:
    """Requests are counted by the template of their path."""
    library.infer("stats", given(PAIRS % 7), "10")
    text = several.client.get("/metrics").text
    assert 'route="/v2/models/{run}/versions/{step}/infer"' in text
    assert "/stats/versions" not in text
