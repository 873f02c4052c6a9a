"""The OpenAPI document: reviewed, and kept to by the service under thousands of odd requests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx

from tests.service.test_access import HEALTH
from tests.support.served import Served

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "openapi.json"
# For each operation: more than 2,000 requests in all, in a quarter of a minute.
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "80")


def test_the_document_is_the_reviewed_one(client: httpx.Client) -> None:
    """A change of the API is seen in docs/openapi.json, or fails here."""
    served = client.get("/schema/openapi.json").json()
    assert served == json.loads(KEPT.read_text()), "if the change is meant: `make openapi`"


def test_what_needs_no_key_says_so() -> None:
    """Health, and nothing else: their entries override the document's security."""
    paths = json.loads(KEPT.read_text())["paths"]
    entries = {(path, way): entry for path in paths for way, entry in paths[path].items()}
    open_to_all = {where for where, entry in entries.items() if entry.get("security") == []}
    assert open_to_all == {(path, "get") for path in HEALTH}


def test_the_service_keeps_to_the_document(served: Served, tmp_path: Path) -> None:
    """schemathesis, right and wrong requests: no server error, nothing that is not documented.

    Which values a model admits (its residues, its frequencies) no document can say, so a request
    that fits the document may still be refused.
    """
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/schema/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES),
        *("--exclude-checks", "positive_data_acceptance", "--generation-deterministic"),
        *("--warnings", "off", "--no-color"),
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) == int(found[2]) >= 2000
    assert '"level":"error"' not in served.log.read_text()
