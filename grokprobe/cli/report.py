"""`grokprobe report`: the page and the answers of one run in one file, which asks nobody.

The answers are a service's: one that runs, or one started for it. The page reads them from a block
of data in the file; its policy names its own script and style by digest and allows no request.
"""

import base64
import contextlib
import gzip
import hashlib
import json
import os
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from grokprobe.addresses import http_url, listen
from grokprobe.cli.demo import running, wait_until_live
from grokprobe.cli.programs import ROOT
from grokprobe.errors import InvalidInput, StoreUnavailable
from grokprobe.settings import read_settings, variable

PAGE = ROOT / "service" / "static" / "explorer"
HOST = "127.0.0.1"
TRIES = 60  # of an answer that takes longer than a request may
WAIT_S = 600
# As explorer/src/data/run.ts asks for them: a test compares.
MEASURES = (
    *("loss", "accuracy", "train_loss", "test_loss", "restricted_loss", "excluded_loss"),
    *("train_accuracy", "test_accuracy", "restricted_accuracy", "key_share", "weight_norm"),
    *("gini_embedding", "neurons_clustered"),
)
SERIES = (
    f"/trajectory?measures={','.join(MEASURES)}",
    *("/emergence", "/spectra", "/grids?of=correct&format=npy", "/neurons?format=npy"),
    *("/split", "/coordinates"),
)
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src blob: data:; "
    "base-uri 'none'; form-action 'none'"
)


def write_report(run: str, output: Path, url: str | None) -> int:
    """Write the report of a run. Raises InvalidInput, StoreUnavailable."""
    if output.suffix != ".html":
        raise InvalidInput("--output", f"expected a name that ends in .html, got {str(output)!r}")
    with _service() if url is None else contextlib.nullcontext(url.rstrip("/")) as base:
        found = _answers(f"{base}/v1", run)
    _write(output, _page(found).encode())
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0


@contextlib.contextmanager
def _service() -> Iterator[str]:
    """The address of a service of our own, which nobody else reaches."""
    [listener, *_] = listen(HOST, 0, variable("port"))
    port = listener.getsockname()[1]
    listener.close()
    os.environ |= {variable("host"): HOST, variable("port"): str(port)}
    for name in ("api_keys_file", "root_path"):
        os.environ.pop(variable(name), None)
    read_settings()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "service.log"
        with running("service", log=log) as service:
            base = http_url(HOST, port)
            if not wait_until_live(base, service, log):
                raise StoreUnavailable("the service did not start")
            yield base


def _answers(v1: str, run: str) -> dict[str, Any]:
    """What the page asks of a run, packed, by path; why it gets no more. Raises InvalidInput."""
    path = f"runs/{quote(run, safe='')}"
    about, why = _get(f"{v1}/{path}")
    if about is None:
        raise InvalidInput("RUN", why)
    facts = json.loads(about)
    row = {name: facts.get(name) for name in ("run", "group", "status", "seed", "created_at")}
    row |= {name: facts["task"][name] for name in ("operation", "modulus")}
    row |= {name: facts[name] for name in ("latest_step", "checkpoint_count")}
    row |= {"architecture": facts["architecture"]["family"], "test_accuracy": None}
    resources = {"runs": _packed(json.dumps({"runs": [row], "next": None}).encode())}
    resources[path] = _packed(about)
    lacking = {}
    keys = [f"/coordinates?frequency={k}" for k in facts["key_frequencies"] or ()]
    for of in (*SERIES, *keys):
        answer, why = _get(f"{v1}/{path}{of}")
        if answer is None:
            lacking[path + of] = why
        else:
            resources[path + of] = _packed(answer)
    return {"run": run, "resources": resources, "lacking": lacking}


def _get(url: str) -> tuple[bytes | None, str]:
    """The answer to a request, or why there is none in the service's words.

    Raises StoreUnavailable where no service answers.
    """
    for _ in range(TRIES):
        try:
            with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
                return answer.read(), ""
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                return None, _told(error)
            time.sleep(min(30.0, float(error.headers.get("Retry-After") or 1)))
        except OSError as error:
            raise StoreUnavailable(f"{url.partition('/v1')[0]} does not answer: {error}") from None
    raise StoreUnavailable(f"{url} is not finished after {TRIES} requests")


def _told(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {error.code}"


def _packed(answer: bytes) -> str:
    return base64.b64encode(gzip.compress(answer, mtime=0)).decode()


def _page(found: dict[str, Any]) -> str:
    """The explorer with its script, its style and these answers inside."""
    page = (PAGE / "index.html").read_text()
    script = (PAGE / "explorer.js").read_text().replace("</script", "<\\/script")
    style = (PAGE / "explorer.css").read_text()
    policy = POLICY.format(script=_digest(script), style=_digest(style))
    data = json.dumps(found).replace("<", "\\u003c")
    inside = {
        '<meta charset="utf-8" />': '<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}" />',
        '<link rel="stylesheet" href="static/explorer/explorer.css" />': f"<style>{style}</style>",
        '<script type="module" src="static/explorer/explorer.js"></script>': (
            f'<script type="application/json" id="resources">{data}</script>\n'
            f'<script type="module">{script}</script>'
        ),
    }
    for there, instead in inside.items():
        before, found_there, after = page.partition(there)
        assert found_there, f"the page has no {there}"
        page = before + instead + after
    return page


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _write(output: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises InvalidInput where it cannot be."""
    part = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        part.write_bytes(data)
        part.replace(output)
    except OSError as error:
        raise InvalidInput("--output", f"{output} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
