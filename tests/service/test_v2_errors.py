"""The inference protocol asked wrongly: the documented status, a word that helps, still alive."""

import gzip
import shutil
import zlib
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from grokprobe.settings import Settings
from tests.service.test_api_errors import check_problem
from tests.support.served import Served, serving
from tests.support.trained import Trained

INFER = "/v2/models/tiny/infer"
LENGTH = "Inference-Header-Content-Length"
GOOD: dict[str, Any] = {"name": "pairs", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]}


def tensor(**changes: Any) -> dict[str, Any]:
    """A request with some fields of its input changed."""
    return {"inputs": [GOOD | changes]}


def wanting(name: str = "logits", **parameters: Any) -> dict[str, Any]:
    """A request for one output with these parameters."""
    return tensor() | {"outputs": [{"name": name, "parameters": parameters}]}


def test_json_with_a_byte_order_mark(client: httpx.Client) -> None:
    """The whole body, and the JSON before binary tensors, whose length counts the mark."""
    text = msgspec.json.encode(tensor())
    plain = client.post(INFER, content=text)
    marked = client.post(INFER, content=b"\xef\xbb\xbf" + text)
    assert (marked.status_code, marked.content) == (200, plain.content)
    binary = tensor(parameters={"binary_data_size": 32})
    del binary["inputs"][0]["data"]
    text = b"\xef\xbb\xbf" + msgspec.json.encode(binary)
    body = text + np.array([1, 2, 3, 4], "<i8").tobytes()
    answer = client.post(INFER, content=body, headers={LENGTH: str(len(text))})
    assert (answer.status_code, answer.content) == (200, plain.content)
    other = client.post(INFER, content=msgspec.json.encode(tensor()).decode().encode("utf-16"))
    check_problem(other, 400, "UTF-16")
    index = client.post("/v2/repository/index", content=b"\xef\xbb\xbf{}")
    assert index.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "inputs"),
        ([], 400, "object"),
        ({"inputs": []}, 400, "must be one input, pairs, got none"),
        ({"inputs": [GOOD, GOOD]}, 400, "must be one input, pairs, got pairs, pairs"),
        (tensor(name="pears"), 400, "must be one input, pairs, got pears"),
        (tensor(datatype="INT32"), 400, "$.inputs[0].datatype: must be INT64, got 'INT32'"),
        (tensor(datatype="FP32", data=[1.0, 2.0]), 400, "must be INT64"),
        (tensor(shape=[4]), 400, "$.inputs[0].shape: must be [n, 2]"),
        (tensor(shape=[0, 2], data=[]), 400, "at least one"),
        (tensor(shape=[-1, 2]), 400, "at least one"),
        (tensor(shape=[2, 3]), 400, "must be [n, 2]"),
        (tensor(shape=[1, 2, 2]), 400, "must be [n, 2]"),
        (tensor(shape=[3, 2]), 400, "holds 4 numbers, not the 6 of its shape"),
        (tensor(shape=[True, 2]), 400, "int"),
        (tensor(data=[1, 2, 3, "4"]), 400, "int"),
        (tensor(data=[1, 2, 3, 4.0]), 400, "int"),
        (tensor(data=[1, 2, 3, True]), 400, "int"),
        (tensor(data=[1, 2, [3, 4]]), 400, "$.inputs[0].data"),
        (tensor(data=[[1, 2, 3], [4, 5, 6]]), 400, "length 2"),
        (tensor(data=[1, 2, 3, 2**63]), 400, "$.inputs[0].data"),
        (tensor(data=[1, 2, 3, 13]), 400, "pair 1: 13 is not a residue 0..12"),
        (tensor(data=[1, -2, 3, 4]), 400, "pair 0: -2 is not a residue 0..12"),
        (tensor(shape=[70_000, 2]), 413, "GROKPROBE_MAX_PAIRS"),
        (tensor(parameters={"binary_data_size": 32}), 400, "give one of them"),
        (tensor(parameters={"binary_data_size": "32"}), 400, "int"),
        (tensor(parameters={"shared_memory_region": "mine"}), 400, "shared memory is not offered"),
        ({"inputs": [{**GOOD, "data": None}]}, 400, "array"),
        ({"inputs": [{k: v for k, v in GOOD.items() if k != "data"}]}, 400, "has neither data"),
        ({"inputs": [GOOD], "output": []}, 400, "output"),
        ({"inputs": [GOOD], "id": 7}, 400, "$.id"),
        ({"inputs": [GOOD], "parameters": {"sequence_id": 7}}, 400, "keep no state"),
        ({"inputs": [GOOD], "model_name": "x"}, 400, "model_name: must be 'tiny', as in the path"),
        ({"inputs": [GOOD], "parameters": {"binary_data_output": 1}}, 400, "bool"),
        (wanting("logits") | {"outputs": [{"name": "x"}]}, 404, "it has logits, neurons"),
        (wanting("logits") | {"outputs": [{"name": "logits"}] * 2}, 400, "more than once"),
        (wanting(binary_data="yes"), 400, "bool"),
        (wanting(classification=0), 400, ">= 1"),
        (wanting(classification=14), 400, "at most 13 for logits, got 14"),
        (wanting(classification=1.5), 400, "int"),
        (wanting(shared_memory_region="mine"), 400, "shared memory is not offered"),
    ],
)
def test_bad_requests(client: httpx.Client, body: Any, status: int, words: str) -> None:
    """The place in the request, and what was expected there."""
    check_problem(client.post(INFER, json=body), status, words)
    assert client.get("/v2/health/live").status_code == 200


DEEP = b'{"inputs": [], "parameters": {"x": ' + b"[" * 100_000


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"inputs": [1}', DEEP])
def test_bodies_that_are_no_json(client: httpx.Client, body: bytes) -> None:
    """400 for what cannot be read."""
    check_problem(client.post(INFER, content=body), 400)


def binary(size: int, length: int, data: bytes, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """A body whose JSON announces `size` bytes, and a header that is wrong by `length`."""
    asked = tensor(**{"parameters": {"binary_data_size": size}, **changes})
    del asked["inputs"][0]["data"]
    text = msgspec.json.encode(asked)
    return text + data, {LENGTH: str(len(text) + length)}


@pytest.mark.parametrize(
    ("size", "length", "data", "words"),
    [
        (32, 0, bytes(31), "is 32 where the shape takes 32 bytes and 31 follow"),
        (32, 0, bytes(33), "33 follow"),
        (16, 0, bytes(16), "is 16 where the shape takes 32 bytes"),
        (0, 0, b"", "is 0 where"),
        (-1, 0, bytes(32), ">= 0"),
        (32, 1, bytes(32), "malformed"),
        (32, -1, bytes(32), "truncated"),
        (32, 33, bytes(32), "Inference-Header-Content-Length: must be at most the body's"),
    ],
)
def test_binary_lengths(
    client: httpx.Client, size: int, length: int, data: bytes, words: str
) -> None:
    """400 where header, JSON, shape and body disagree."""
    body, headers = binary(size, length, data)
    check_problem(client.post(INFER, content=body, headers=headers), 400, words)


@pytest.mark.parametrize("length", ["-1", "x", "1.0", "", "9" * 5000, "²"])
def test_a_length_that_is_no_number(client: httpx.Client, length: str) -> None:
    """400, named."""
    body, _ = binary(32, 0, bytes(32))
    answer = client.post(INFER, content=body, headers={LENGTH.encode(): length.encode()})
    check_problem(answer, 400, LENGTH)


def test_binary_pairs_out_of_range(client: httpx.Client) -> None:
    """Bytes may hold any integer: which pair is wrong is said."""
    pairs = np.array([[1, 2], [3, -(2**63)]], dtype="<i8")
    body, headers = binary(32, 0, pairs.tobytes())
    check_problem(client.post(INFER, content=body, headers=headers), 400, "pair 1: -92233720")
    answer = client.post(INFER, content=bytes(17), headers={LENGTH: "0"})
    check_problem(answer, 400, "17 follow")


def test_json_with_bytes_after_it(client: httpx.Client) -> None:
    """400: bytes that no input claims are not dropped without a word."""
    text = msgspec.json.encode(tensor())
    answer = client.post(INFER, content=text + bytes(32), headers={LENGTH: str(len(text))})
    check_problem(answer, 400, "give one of them")


GOOD_BODY = msgspec.json.encode(tensor())
ZIPPED = gzip.compress(GOOD_BODY, mtime=0)
TOO_LARGE = gzip.compress(bytes(10_485_761), mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "status", "words"),
    [
        pytest.param("br", GOOD_BODY, 415, "send gzip or deflate", id="br"),
        pytest.param("gzip, deflate", GOOD_BODY, 415, "send gzip or deflate", id="two"),
        pytest.param("gzip", GOOD_BODY, 400, "not in gzip", id="plain as gzip"),
        pytest.param("gzip", b"", 400, "not one whole gzip stream", id="empty"),
        pytest.param("gzip", ZIPPED[:-1], 400, "not one whole gzip stream", id="cut"),
        pytest.param("gzip", ZIPPED + b"x", 400, "not one whole gzip stream", id="more after it"),
        pytest.param("gzip", zlib.compress(GOOD_BODY), 400, "not in gzip", id="deflate as gzip"),
        pytest.param("deflate", ZIPPED, 400, "not in deflate", id="gzip as deflate"),
        pytest.param("gzip", TOO_LARGE, 413, "unpacks to over 10485760 bytes", id="a byte over"),
        pytest.param(
            "deflate", zlib.compress(bytes(50_000_000)), 413, "GROKPROBE_MAX_BODY_BYTES", id="huge"
        ),
    ],
)
def test_encodings(
    client: httpx.Client, encoding: str, body: bytes, status: int, words: str
) -> None:
    """What is not whole or unknown is refused; a small body that unpacks to a huge one too."""
    answer = client.post(INFER, content=body, headers={"Content-Encoding": encoding})
    check_problem(answer, status, words)


def test_an_oversized_body(client: httpx.Client) -> None:
    """413 as everywhere."""
    answer = client.post(INFER, content=bytes(10_485_761))
    check_problem(answer, 413, "GROKPROBE_MAX_BODY_BYTES")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v2/models/nobody", "nobody"),
        ("/v2/models/nobody/ready", "nobody"),
        ("/v2/models/nobody/stats", "nobody"),
        ("/v2/models/tiny/versions/41", "nearest: 40, 60"),
        ("/v2/models/tiny/versions/41/ready", "nearest: 40, 60"),
        ("/v2/models/tiny/versions/newest/config", "newest"),
        ("/v2/models/tiny/versions/-1/stats", "-1"),
        ("/v2/models", "not offered"),
        ("/v2/nothing", "not offered"),
    ],
)
def test_unknown_models(client: httpx.Client, path: str, words: str) -> None:
    """404, naming what is not there."""
    check_problem(client.get(path), 404, words)
    for call in ("load", "unload"):
        answer = client.post(f"/v2/repository/models/nobody/{call}")
        check_problem(answer, 404, "nobody")


def test_methods_and_queries(client: httpx.Client) -> None:
    """405 and 400 as everywhere."""
    check_problem(client.get(INFER), 405, "GET")
    check_problem(client.post("/v2"), 405, "POST")
    check_problem(client.get("/v2/models/tiny/ready?version=4"), 400, "version")


def test_uploads_are_refused(served: Served) -> None:
    """Load takes neither files nor a configuration; nothing was loaded or changed."""
    with triton.InferenceServerClient(served.url.removeprefix("http://")) as client:
        with pytest.raises(InferenceServerException, match=r"parameters\.config: is not taken"):
            client.load_model("tiny", config="{}", files={"file:1/model.onnx": b"x"})
        with pytest.raises(InferenceServerException, match=r"file:1/model\.onnx: is not taken"):
            client.load_model("tiny", files={"file:1/model.onnx": b"x"})
    check_problem(served.client.post("/v2/repository/index", json={"redy": True}), 400, "redy")


def test_answers_that_are_too_large(trained: Trained, tmp_path: Path) -> None:
    """413 before any work: 2,000,000 numbers in JSON or classes, 16,777,216 in all."""
    with serving(trained.settings, tmp_path, GROKPROBE_MAX_PAIRS="500000") as served:
        count = 400_000
        asked = tensor(shape=[count, 2], parameters={"binary_data_size": 16 * count})
        del asked["inputs"][0]["data"]
        for changes, words in (
            ({"outputs": [{"name": "logits"}]}, "5,200,000 numbers, at most 2,000,000 in JSON"),
            ({"parameters": {"binary_data_output": True}}, "at most 16,777,216 in all"),
        ):
            text = msgspec.json.encode(asked | changes)
            content, headers = text + bytes(16 * count), {LENGTH: str(len(text))}
            check_problem(served.client.post(INFER, content=content, headers=headers), 413, words)
        assert 'reason="values"} 2.0' in served.client.get("/metrics").text
        assert "inference_seconds_count 0.0" in served.client.get("/metrics").text


def test_a_service_that_is_not_ready(trained: Trained, tmp_path: Path) -> None:
    """503 where `/readyz` has it; the client reads it as no."""
    with serving(trained.settings, tmp_path, GROKPROBE_REQUIRE_GPU="true") as served:
        if served.client.get("/readyz").status_code == 200:
            pytest.skip("a GPU works here")
        with triton.InferenceServerClient(served.url.removeprefix("http://")) as client:
            assert client.is_server_live()
            assert not client.is_server_ready()
        answer = served.client.get("/v2/health/ready")
        why = "the service may not take traffic; /readyz says why"
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "error": why})


def test_a_corrupt_checkpoint(trained: Trained, tmp_path: Path) -> None:
    """A version whose file was changed is never ready; the others are."""
    home = tmp_path / "home"
    shutil.copytree(trained.settings.home_path / "store", home / "store")
    path = home / "store/runs/tiny/checkpoints/0000000000/model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with serving(Settings(home=str(home), log_format="json"), tmp_path) as served:
        answer = served.client.get("/v2/models/tiny/versions/0/ready")
        assert check_problem(answer, 500)["type"] == "urn:grokprobe:checkpoint-corrupt"
        assert served.client.get("/v2/models/tiny/versions/1/ready").status_code == 200
