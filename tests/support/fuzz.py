"""Mutated objects and hostile requests against a real service over a store of its own.

    python -m tests.support.fuzz --objects 100000 --requests 100000 --seed 0

Always the same for a seed. A failure is an answer of 500 that does not name a corrupt checkpoint,
no answer within LIMIT_S, a process that has died, a file opened outside the store: a folder of
canaries is watched by the kernel (inotify, so that libraries are seen too), and their word must be
in no answer.
"""

import argparse
import asyncio
import copy
import ctypes
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import onnx

from grokprobe.settings import Settings
from grokprobe.store.archive import names
from grokprobe.store.archive.predictions import describe_predictions
from grokprobe.store.archive.split import encode_split
from grokprobe.store.backends import open_backends
from grokprobe.store.records import encode_record, sha256
from tests.support.served import Served, serving
from tests.support.tiny import TinyRun, answering, tiny_run

LIMIT_S = 20.0
STEPS = 40  # of a run of mutated checkpoints
IN_OPEN = 0x20
REMOVED = {"of": "logits", "remove": [1], "controls": 3}
SECRET = "canary-7b1f"
ODD: list[Any] = [
    None, True, -1, 0, 1e30, -1e30, 10**30, 2**63, 2**64, 0.5, "", "x" * 300, "\0", "../../canary",
    [], {}, [[]], [1] * 999, {"a": {"a": {"a": 1}}}, "9999-12-31T23:59:59Z", "NaN", [None] * 9,
]  # fmt: skip


class Canaries:
    """Files that nobody may open, in a folder beside the store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "canary"
        self.folder.mkdir()
        for name in ("secret", "run.json", "model.onnx", "weights.bin"):
            (self.folder / name).write_text(SECRET)
        library = ctypes.CDLL(None, use_errno=True)
        self._inotify = library.inotify_init1(os.O_NONBLOCK)
        assert library.inotify_add_watch(self._inotify, bytes(self.folder), IN_OPEN) >= 0
        (self.folder / "secret").read_text()
        assert self.opened(), "the watch sees nothing"

    def opened(self) -> bool:
        """Whether any was opened since this was last asked."""
        try:
            return bool(os.read(self._inotify, 2**16))
        except BlockingIOError:
            return False


@dataclass
class Findings:
    """What the service answered, and what it should not have done."""

    answers: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    failures: list[str] = field(default_factory=list)

    def note(self, what: bytes | str, status: int, body: bytes, began: float) -> None:
        """Judge one answer."""
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        corrupt = b"urn:grokprobe:checkpoint-corrupt" in body
        self.answers[f"{status}{' corrupt' if corrupt else ''}"] += 1
        if status in (500, 502) and not corrupt:
            self.failures.append(f"{status}: {what!r:.500}: {body[:500]!r}")
        if SECRET.encode() in body:
            self.failures.append(f"a canary was read: {what!r:.500}")


# -- objects -------------------------------------------------------------------------------------


def flipped(rng: random.Random, data: bytes) -> bytes:
    """Bytes with one to eight changes."""
    for _ in range(rng.randint(1, 8)):
        at, size = rng.randrange(len(data) + 1), rng.choice([0, 1, 1, 1, 2, 4, 8])
        new = rng.choice([rng.randbytes(size), b"\xff" * size, b"\0" * size, b"", data[:size]])
        data = data[:at] + new + data[at + size :]
    return data if rng.random() < 0.95 else data[: rng.randrange(len(data) + 1)]


def mutated_json(rng: random.Random, data: bytes) -> bytes:
    """A record with other bytes, or with other values at some of its places."""
    if rng.random() < 0.4:
        return flipped(rng, data)
    record = msgspec.json.decode(data)
    for _ in range(rng.randint(1, 3)):
        inner = record
        while True:
            places = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            place = rng.choice(places) if places else 0
            nested = places and isinstance(inner[place], dict | list) and inner[place]
            if not nested or rng.random() < 0.3:
                break
            inner = inner[place]
        odd = copy.deepcopy(rng.choice(ODD))  # a later change may go into it
        if isinstance(inner, dict):
            inner[str(place) if places else "x"] = odd
        elif inner:
            inner[place] = odd
    return msgspec.json.encode(record)


def mutated_model(rng: random.Random, data: bytes, canary: Path) -> bytes:
    """A model with other bytes, or other fields of its graph."""
    if rng.random() < 0.4:
        return flipped(rng, data)
    model = onnx.load_model_from_string(data)
    graph = model.graph
    node, tensor = rng.choice(graph.node), rng.choice(graph.initializer)
    change = rng.randrange(9)
    if change == 0:
        node.op_type = rng.choice(
            ["Loop", "If", "Scan", "Tile", "Expand", "Exp", "ConstantOfShape"]
        )
    elif change == 1:
        tensor.dims[0] = rng.choice([0, -1, 2**31, 2**62, 3])
    elif change == 2:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key = "location"
        entry.value = rng.choice([str(canary), "../../../../canary/weights.bin"])
    elif change == 3:
        node.input[0] = rng.choice([*node.input, *node.output, "nobody"])
    elif change == 4:
        node.domain = rng.choice(["com.microsoft", "ai.onnx.ml", "x" * 99])
    elif change == 5:
        tensor.data_type = rng.choice([0, 8, 10, 16, 99])
    elif change == 6:
        size = rng.choice(graph.output).type.tensor_type.shape.dim.add()
        size.dim_value = rng.choice([-1, 2**40, 7])
    elif change == 7:
        graph.node.append(node)
    else:
        model.opset_import[0].version = rng.choice([0, 1, 99, 2**40])
    return model.SerializeToString()


def write_run(rng: random.Random, store: Path, run: TinyRun, canary: Path) -> int:
    """Put a run of mutated checkpoints into a store; how many objects are mutated."""

    def put(path: str, data: bytes) -> None:
        (store / path).parent.mkdir(parents=True, exist_ok=True)
        (store / path).write_bytes(data)

    count = 0
    for manifest, model in run.checkpoints:
        step, predictions = manifest.step, run.predictions[manifest.step]
        kind = rng.choice(["model", "model", "manifest", "manifest", "predictions"])
        data = encode_record(manifest)
        if kind == "model":
            model = mutated_model(rng, model, canary)  # noqa: PLW2901
            of_model = {"sha256": sha256(model), "bytes": len(model)}
            record = msgspec.structs.replace(manifest.model, **of_model)
            data = encode_record(msgspec.structs.replace(manifest, model=record))
        elif kind == "predictions":
            predictions = flipped(rng, predictions)
            if rng.random() < 0.8:
                mine = describe_predictions(predictions)
                data = encode_record(msgspec.structs.replace(manifest, predictions=mine))
        else:
            data = mutated_json(rng, data)
        count += 1
        put(names.model_path(run.name, step), model)
        put(names.predictions_path(run.name, step), predictions)
        put(names.manifest_path(run.name, step), data)
    wholes = {
        names.completion_path: encode_record(run.completion),
        names.split_path: encode_split(run.train_mask),
        names.run_path: encode_record(run.manifest),
    }
    for path, data in wholes.items():
        hostile = rng.random() < 0.1
        count += hostile
        mutate = flipped if path is names.split_path else mutated_json
        put(path(run.name), mutate(rng, data) if hostile else data)
    return count


def fuzz_objects(
    served: Served, home: Path, count: int, rng: random.Random, canaries: Canaries
) -> Findings:
    """Ask for everything of runs of mutated objects, one run after another."""
    found, done, number = Findings(), 0, 0
    base = answering(tiny_run("base", modulus=5, steps=range(STEPS), group="fuzz"))
    while done < count:
        run = renamed(base, f"fuzz-{number:06d}")
        done += write_run(rng, home / "store", run, canaries.folder / "secret")
        number += 1
        path = f"/v1/runs/{run.name}"
        parts = ["", "/checkpoints", "/trajectory", "/spectra", "/coordinates", "/emergence"]
        parts += ["/drift", "/updates", "/path", "/grids", "/grids?of=correct&format=npy"]
        parts += ["/pairs?by=mirror", "/neurons"]
        asked = [path + part for part in parts]
        asked += [f"{path}/checkpoints/{step}" for step in range(STEPS)]
        wants = ["predictions?a=1&b=2", "embedding", "measures", "model", "weights", "weights/W_E"]
        wants += ["activations?of=logits", "interventions"]
        asked += [f"{path}/checkpoints/{s}/{rng.choice(wants)}" for s in range(STEPS)]
        first, second = rng.sample(range(STEPS), 2)
        asked.append(f"/v1/compare?a={run.name}/{first}&b={run.name}/{second}")
        if number % 10 == 0:
            asked += ["/v1/runs?limit=5&after=fuzz-", "/v1/groups/fuzz/precursors"]
        for one in asked:
            began = time.monotonic()
            try:
                if one.endswith("/interventions"):
                    answer = served.client.post(one, json=REMOVED, timeout=LIMIT_S)
                else:
                    answer = served.client.get(one, timeout=LIMIT_S)
            except httpx.HTTPError as error:
                found.failures.append(f"{one}: {type(error).__name__}; seed run {number - 1}")
                if served.process.poll() is not None:
                    return found
                continue
            found.note(one, answer.status_code, answer.content, began)
        if canaries.opened():
            found.failures.append(f"a canary was opened; run {number - 1}")
    return found


def renamed(run: TinyRun, name: str) -> TinyRun:
    """The same run under another name: its models are shared."""
    replace = msgspec.structs.replace
    checkpoints = [(replace(manifest, run=name), model) for manifest, model in run.checkpoints]
    manifest, completion = replace(run.manifest, run=name), replace(run.completion, run=name)
    return TinyRun(manifest, run.train_mask, checkpoints, completion, run.predictions)


# -- requests ------------------------------------------------------------------------------------

RUNS = [
    "tiny",
    "tiny",
    "tiny",
    "nobody",
    "..",
    "%2e%2e",
    "tiny%00",
    "tiny%2f..%2f..",
    "%ff",
    "~",
    "",
]
STEPS_ASKED = ["0", "10", "latest", "first", "generalised", "-1", "1e9", "9" * 99, "9" * 5000, "٣"]
PARTS = [
    "", "/predictions", "/logits", "/embedding", "/spectrum", "/neurons", "/activations",
    "/measures", "/model", "/interventions", "/interventions",
    "/weights", "/weights/W_E", "/weights/..%2f..%2fcanary%2fsecret", "/../../../canary/secret",
]  # fmt: skip
OF_MODELS = ["", "/ready", "/infer", "/stats", "/versions/10/infer"]
OF_RUNS = [
    "", "/checkpoints", "/trajectory", "/spectra", "/coordinates", "/emergence", "/events",
    "/drift", "/updates", "/path", "/grids", "/pairs", "/neurons",
]  # fmt: skip
PARAMETERS = [
    "a", "b", "limit", "after", "format", "keys", "null", "seed", "measures", "from_step",
    "to_step",
    "value", "of", "group", "operation", "modulus", "status", "key_rule", "key_threshold", "pairs",
    "reference", "table", "components", "names",
    "index", "frequency", "by", "projection", "threshold",
    "include", "project", "basis", "sort", "top", "residue", "part", "x" * 200,
]  # fmt: skip
VALUES = [
    "0", "1", "-1", "1,2", "1," * 3000, "nan", "inf", "1e400", "9" * 400, "%00", "%ff%fe",
    "%F0%9F%92%A9",
    "..%2f..%2fcanary%2fsecret", "json", "csv", "npy", "arrow", "parquet", "final", "own", "",
    "'", "[]",
    "true", "%0d%0aX-Y:%20z", "add", "logits", "0.5", "x" * 3000, "200", "1000000", "2", "3",
    "tiny/0", "tiny/latest", "tiny/..", "../tiny/0", "pairs", "mirror", "correct", "embedding",
]  # fmt: skip
HEADERS = [
    "Accept: text/csv", "Accept: */*;q=nan", "Accept: " + "a/b," * 900, "Accept-Encoding: gzip;q=x",
    "Range: bytes=0-", "Range: bytes=9-1,-,5", "Range: bytes=" + "0-0," * 500, "If-None-Match: *",
    "If-Match: \"x\"", "If-None-Match: W/\"" + "x" * 900 + "\"", "X-Request-Timeout-Ms: -1",
    "X-Request-Timeout-Ms: 1", "X-Request-Timeout-Ms: 1e99", "traceparent: 00-zz",
    "Last-Event-ID: 9-9",
    "Authorization: Bearer \xff", "Content-Type: application/json",
    "Content-Type: x/y; charset=utf-99",
    "Content-Encoding: gzip", "Transfer-Encoding: chunked",
    "Inference-Header-Content-Length: 99999",
    "Expect: 100-continue", "Upgrade: h2c", "Origin: http://evil", "Host: evil",
    "X-Forwarded-For: ::1",
]  # fmt: skip
BODIES = [
    b'{"pairs": [[1, 2], [3, 4]]}', b'{"pairs": [[1, 2]], "include": ["logits"]}', b"[" * 100_000,
    b'{"pairs": ' + b"[" * 900 + b"]" * 900 + b"}", b'{"pairs": [[1e400, 1]]}', b'{"a":"\\ud800"}',
    b'{"pairs": [[' + b"9" * 5000 + b", 1]]}", b"\xff\xfe{\0}\0", b"", b"null", b"{" * 999,
    b'{"of": "logits", "remove": [1]}', b'{"of": "embedding", "keep": [2], "controls": 1000}',
    b'{"of": "logits", "remove": [1], "seed": 99999999999999999999}', b'{"of": "neurons"}',
    b'{"of": "logits", "remove": [' + b"1," * 50_000 + b'2]}', b'{"of": "heads", "remove": [-1]}',
    b'{"inputs":[{"name":"pairs","shape":[1,2],"datatype":"INT64","data":[1,2]}]}',
    b'{"inputs":[{"name":"pairs","shape":[1099511627776,2],"datatype":"INT64","data":[]}]}',
    b'{"inputs":[{"name":"pairs","shape":[-1,2],"datatype":"FP64","data":[[1.5]]}]}',
]  # fmt: skip


def target(rng: random.Random) -> str:
    """A path with a query."""
    run = rng.choice(RUNS)
    path = rng.choice(
        [
            f"/v1/runs/{run}{rng.choice(OF_RUNS)}",
            f"/v1/runs/{run}/checkpoints/{rng.choice(STEPS_ASKED)}{rng.choice(PARTS)}",
            f"/v1/runs/{run}/checkpoints/{rng.choice(STEPS_ASKED)}{rng.choice(PARTS)}",
            f"/v2/models/{run}{rng.choice(OF_MODELS)}",
            f"/v2/repository/models/{run}/{rng.choice(['load', 'unload'])}",
            "/v1/compare",
            rng.choice(
                [
                    "/v1/runs",
                    "/v2",
                    "/v2/repository/index",
                    "/v1/groups/all/emergence",
                    "/v1/groups/all/precursors",
                ]
            ),
            rng.choice(["/livez", "/readyz", "/metrics", "/schema", "/schema/openapi.json"]),
            rng.choice(
                ["/../canary/secret", "//canary/secret", "/schema/../../canary/secret", "*"]
            ),
        ]
    )
    names_of = rng.sample(PARAMETERS, rng.choice([0, 0, 1, 1, 2, 3]))
    return path + "?" * bool(names_of) + "&".join(f"{n}={rng.choice(VALUES)}" for n in names_of)


def request(rng: random.Random) -> bytes:
    """The bytes of one hostile request."""
    asked = target(rng)
    infer = any(word in asked for word in ("infer", "predictions", "interventions"))
    methods = ["POST"] * 3 + ["GET"] if infer else ["GET"] * 6 + ["HEAD", "POST", "OPTIONS", "PUT"]
    method = rng.choice([*methods, "DELETE", "TRACE", "X" * 50])
    body = rng.choice(BODIES) if method in ("POST", "PUT") else b""
    if body and rng.random() < 0.3:
        body = flipped(rng, body)
    lines = ["Host: x", "Connection: close", *rng.sample(HEADERS, rng.choice([0, 0, 1, 2, 3]))]
    size = len(body) + rng.choice([0] * 9 + [1, -1, 10**9])
    lines += [f"Content-Length: {size}"] if body or rng.random() < 0.1 else []
    head = f"{method} {asked} HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    data = head.encode("utf-8" if rng.random() < 0.9 else "utf-16") + body
    return flipped(rng, data) if rng.random() < 0.25 else data


def answer_to(address: tuple[str, int], data: bytes) -> tuple[int, bytes]:
    """Status, 0 where the connection was closed without one, and the beginning of an answer.

    Raises TimeoutError.
    """
    received = b""
    with socket.create_connection(address, timeout=LIMIT_S) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while len(received) < 2**16 and b"text/event-stream" not in received:
                part = connection.recv(2**16)
                if not part:
                    break
                received += part
        except (ConnectionResetError, BrokenPipeError):  # it said enough, before it had read all
            pass
    last = received.rpartition(b"HTTP/1.1 ")[2] if received.startswith(b"HTTP/1.1 1") else received
    status = last.removeprefix(b"HTTP/1.1 ")[:3]
    return (int(status) if status.isdigit() else 0), received


def fuzz_requests(served: Served, count: int, rng: random.Random, canaries: Canaries) -> Findings:
    """Send hostile requests, each on a connection of its own."""
    found, url = Findings(), httpx.URL(served.url)
    for _ in range(count):
        data, began = request(rng), time.monotonic()
        try:
            found.note(data, *answer_to((url.host, url.port or 80), data), began)
        except (TimeoutError, ConnectionRefusedError) as error:
            found.failures.append(f"{type(error).__name__}: {data!r:.500}")
            if served.process.poll() is not None:
                break
    if canaries.opened():
        found.failures.append("a canary was opened")
    return found


# -- both ----------------------------------------------------------------------------------------


def fuzz(folder: Path, objects: int, requests: int, seed: int) -> Iterator[tuple[str, Findings]]:
    """Both against one service; then it must be alive, ready and without a traceback."""
    home = folder / "home"
    settings = Settings(home=str(home), log_format="json")
    canaries = Canaries(folder)
    asyncio.run(_publish(settings))
    with serving(settings, folder) as served:
        yield "requests", fuzz_requests(served, requests, random.Random(seed), canaries)
        yield "objects", fuzz_objects(served, home, objects, random.Random(seed), canaries)
        after = Findings()
        log = served.log.read_text()
        alive = served.process.poll() is None and served.client.get("/livez").status_code == 200
        after.failures += [] if alive else ["the service has died"]
        after.failures += ["a traceback in its log"] if "Traceback" in log else []
        yield "after", after


async def _publish(settings: Settings) -> None:
    async with open_backends(settings) as backends:
        await tiny_run(group="all").publish(backends)


def main() -> int:
    """Print figures, and each failure; the exit status is 1 where there is any."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("objects", "requests", "seed"):
        parser.add_argument(f"--{name}", type=int, default=0)
    arguments = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        asked = (arguments.objects, arguments.requests, arguments.seed)
        for what, found in fuzz(Path(folder), *asked):
            seconds = time.monotonic() - began
            print(
                f"{what}: {dict(found.answers)}, slowest {found.slowest_s:.2f} s, {seconds:.0f} s"
            )
            for line in found.failures:
                print(line)
            failed = failed or bool(found.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
