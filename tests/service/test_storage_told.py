"""A fault of object storage or Redis, as clients and as the log are told it."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from grokprobe.settings import Settings
from tests.support.served import PATIENCE_S, Served, environment, eventually, serving
from tests.support.stores import s3_endpoint

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "AWS_SESSION_TOKEN": "sessiontoken",
}
RUN = "/v1/runs/tiny"
ASKED = [
    "/v1/runs",
    "/v1/runs?format=csv",
    "/v1/groups/nobody/emergence",
    RUN,
    f"{RUN}/checkpoints",
    f"{RUN}/trajectory?format=parquet",
    f"{RUN}/events",
    f"{RUN}/checkpoints/0",
    f"{RUN}/checkpoints/latest/predictions",
    f"{RUN}/checkpoints/0/spectrum",
    f"{RUN}/checkpoints/0/model.onnx",
    "/v2/models/tiny",
    "/v2/models/tiny/versions/0/stats",
]
POSTED = {
    f"{RUN}/checkpoints/0/predictions": b'{"pairs": [[1, 5]]}',
    "/v2/models/tiny/infer": b'{"inputs": [{"name": "pairs", "shape": [1, 2], "datatype": "INT64",'
    b' "data": [1, 5]}]}',
    "/v2/repository/index": b"",
}


def answers(served: Served) -> dict[str, str]:
    """What clients are told, by path: all of it 503."""
    found = {path: served.client.get(path) for path in ASKED}
    for path, body in POSTED.items():
        found[f"POST {path}"] = served.client.post(path, content=body)
    assert {path: answer.status_code for path, answer in found.items()} == dict.fromkeys(found, 503)
    return {path: f"{answer.headers} {answer.text}" for path, answer in found.items()}


def told(served: Served, words: str) -> bool:
    """Whether a line of the log has these words, in any order of the regular expression."""
    return any(re.search(words, line) for line in served.log.read_text().splitlines())


@pytest.mark.parametrize("case", ["refused", "no bucket"])
def test_a_client_is_told_the_cause_and_the_log_the_place(
    tmp_path: Path, closed_port: int, case: str
) -> None:
    """Every way of asking: no address, bucket, path or secret; the log has all but secrets."""
    endpoint = s3_endpoint() if case == "no bucket" else f"http://127.0.0.1:{closed_port}"
    cause = {"no bucket": "there is no such bucket", "refused": "Connection refused"}[case]
    variables: Mapping[str, str] = {
        **SECRETS,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "GROKPROBE_REDIS_URL": f"redis://someone:hunter2@127.0.0.1:{closed_port}/5",
    }
    settings = Settings(home=str(tmp_path), store_url="s3://my-bucket/my-prefix", log_format="json")
    with serving(settings, tmp_path, **variables) as served:
        found = answers(served)
        ready = served.client.get("/readyz")
        assert ready.json()["status"] == "degraded"
        parts = ready.json()["dependencies"]
        assert cause in parts["object_storage"]["detail"]
        assert parts["catalogue"]["detail"] == "Redis does not answer: Connection refused"
        assert eventually(
            lambda: (
                served.client.get("/readyz").json()["dependencies"]["events"]["detail"]
                == "Redis does not answer: Connection refused"
            )
        )
        found["ready"] = ready.text
        hidden = [endpoint.partition("//")[2], "my-bucket", "my-prefix", "hunter2", "127.0.0.1"]
        for path, answer in found.items():
            for word in [*hidden, *SECRETS.values()]:
                assert word not in answer, path
            assert path == "ready" or cause in answer, path
        log = served.log.read_text()
        assert told(served, rf"{RUN}.* 503 .*{cause}.*{endpoint}/my-bucket/my-prefix/")
        assert told(served, rf"object_storage is down: .*{cause}.*{endpoint}/my-bucket")
        assert told(served, rf"catalogue is down: .*Connection refused.*127.0.0.1:{closed_port}")
        assert told(served, rf"live events wait: .*Connection refused.*127.0.0.1:{closed_port}")
        assert log.count("object_storage is down") == log.count("catalogue is down") == 1
        for secret in ["hunter2", *SECRETS.values()]:
            assert secret not in log


@pytest.mark.parametrize(
    "command",
    [
        ("grokprobe", "runs"),
        ("trainer", "train", "--preset", "quickstart", "--set", "training.device=cpu"),
    ],
    ids=" ".join,
)
def test_whoever_runs_a_program_is_told_the_place(
    tmp_path: Path, closed_port: int, command: tuple[str, ...]
) -> None:
    """One line on the terminal, with the address and the bucket and without secrets."""
    endpoint = f"http://127.0.0.1:{closed_port}"
    settings = Settings(
        home=str(tmp_path), store_url="s3://my-bucket/my-prefix", s3_endpoint=endpoint
    )
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment(settings, **SECRETS),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode != 0
    assert re.match(
        rf"error: object storage cannot \w+: Connection refused \(.*{endpoint}/my-bucket",
        done.stderr,
    )
    assert done.stderr.count("\n") == 1
    for secret in SECRETS.values():
        assert secret not in done.stderr + done.stdout
