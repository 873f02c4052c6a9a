"""KServe's own client: it reads whether a server lives and is ready from JSON, and infers."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.service.test_auth import digest
from tests.support.served import PATIENCE_S, Served, serving
from tests.support.trained import Trained

PYTHON = Path(__file__).parents[2] / ".cache" / "kserve" / "bin" / "python"
pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="KServe's client does not fit our constraints: run .ci/kserve"
)

PROGRAM = """
import asyncio, json, sys
import httpx, numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def ask(client, url):
    async def tried(call):
        try:
            return await call
        except httpx.HTTPStatusError as error:
            return str(error)
    found = {
        "live": await tried(client.is_server_live(url)),
        "ready": await tried(client.is_server_ready(url)),
        "model": await tried(client.is_model_ready(url, "tiny")),
        "no model": await tried(client.is_model_ready(url, "none")),
    }
    for binary in (False, True):
        pairs = InferInput("pairs", [2, 2], "INT64")
        pairs.set_data_from_numpy(np.array([[3, 5], [1, 2]]), binary_data=binary)
        asked = InferRequest(model_name="tiny", infer_inputs=[pairs])
        answer = await tried(client.infer(url, asked, model_name="tiny"))
        if not isinstance(answer, str):
            [logits] = [output for output in answer.outputs if output.name == "logits"]
            answer = logits.as_numpy().tolist()
        found[f"binary {binary}"] = answer
    return found

async def main():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        print(json.dumps(await ask(client, sys.argv[1])))

asyncio.run(main())
"""


def asked(url: str) -> dict[str, Any]:
    """What KServe's client finds at a URL."""
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, url],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_client_of_kserve(served: Served) -> None:
    """Server and model are live and ready, one that is not there is not; logits are the API's."""
    found = asked(served.url)
    assert (found["live"], found["ready"], found["model"], found["no model"]) == (
        *(True, True, True, False),
    )
    body = {"pairs": [[3, 5], [1, 2]], "include": ["logits"]}
    answer = served.client.post("/v1/runs/tiny/checkpoints/latest/predictions", json=body).json()
    expected = np.array([row["logits"] for row in answer["predictions"]], np.float32)
    for way in ("binary False", "binary True"):
        assert np.array_equal(np.array(found[way], np.float32), expected)


def test_below_a_root_with_keys(trained: Trained, tmp_path: Path) -> None:
    """Health needs no key there, models do, and the refusal is one that the client raises."""
    (tmp_path / "keys").write_text(f"ann {digest('a-key')}\n")
    changes = {"GROKPROBE_API_KEYS_FILE": str(tmp_path / "keys"), "GROKPROBE_ROOT_PATH": "/at"}
    with serving(trained.settings, tmp_path, **changes) as served:
        found = asked(f"{served.url}/at")
        assert (found["live"], found["ready"], found["model"]) == (True, True, False)
        assert "401 Unauthorized" in found["binary False"]


def test_one_that_is_not_ready(trained: Trained, tmp_path: Path) -> None:
    """The client raises, with the reason that the answer gives."""
    with serving(trained.settings, tmp_path, GROKPROBE_REQUIRE_GPU="true") as served:
        if served.client.get("/readyz").status_code == 200:
            pytest.skip("a GPU works here")
        found = asked(served.url)
        assert found["live"] is True
        assert "may not take traffic; /readyz says why, '503" in found["ready"]
