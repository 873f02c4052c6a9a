"""The page and the answers of one run in one file, which asks nobody.

The page reads the answers from a block of data in the file; its policy names its own script and
style by digest and allows no request.
"""

import base64
import gzip
import hashlib
import json
from typing import Any
from urllib.parse import quote

from grokprobe import Client
from grokprobe.cli.programs import ROOT
from grokprobe.cli.reports.asking import ask
from grokprobe.errors import InvalidInput

PAGE = ROOT / "service" / "static" / "explorer"
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


def answers_of(client: Client, run: str) -> dict[str, Any]:
    """What the page asks of a run, packed, by path; why it gets no more. Raises InvalidInput."""
    path = f"runs/{quote(run, safe='')}"
    about, why = ask(client, path)
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
        answer, why = ask(client, path + of)
        if answer is None:
            lacking[path + of] = why
        else:
            resources[path + of] = _packed(answer)
    return {"run": run, "resources": resources, "lacking": lacking}


def _packed(answer: bytes) -> str:
    return base64.b64encode(gzip.compress(answer, mtime=0)).decode()


def page(found: dict[str, Any]) -> str:
    """The explorer with its script, its style and these answers inside."""
    html = (PAGE / "index.html").read_text()
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
        before, found_there, after = html.partition(there)
        assert found_there, f"the page has no {there}"
        html = before + instead + after
    return html


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
