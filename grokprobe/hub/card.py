"""README.md of a repository: what the hub shows of a run, and pictures beside it."""

from collections.abc import Callable

from grokprobe.client.answers import Table
from grokprobe.client.errors import ClientError
from grokprobe.client.synchronous.run import Run
from grokprobe.hub import layout

FRONT = """\
---
library_name: grokprobe
tags:
- grokking
- mechanistic-interpretability
- modular-arithmetic
---
"""
LOAD = """\
## To load it

    grokprobe pull {address}                                   the whole run, into a store
    grokprobe pull {address} --revision generalised -o FOLDER  one checkpoint, as files

A branch for every step (`{branch}`) has `model.onnx`, which runs in any ONNX runtime (input
`pairs`, int64 (batch, 2); output `logits`), `model.safetensors` with the same weights, and
`manifest.json` with the SHA-256 of the ONNX file, as it was published.

To cite this copy, give {address} beside the digest above.
"""


def pictures(run: Run) -> dict[str, bytes]:
    """The circle of the last checkpoint and the trajectory; without those that nobody draws."""
    found = {}
    asked: list[Callable[[], Table]] = [run.at("latest").embedding, run.trajectory]
    for name, answer in zip(layout.PICTURES, asked, strict=True):
        try:
            found[name] = answer().picture("png")
        except ClientError:  # no renderer there, or a network that has no circle
            continue
    return found


def card(run: Run, address: str, shown: dict[str, bytes]) -> bytes:
    """README.md as bytes: the service's card of the run, in the hub's frame."""
    title, _, rest = run.card().to_markdown().partition("\n\n")
    images = "\n".join(f"![{name.partition('.')[0]}]({name})" for name in shown)
    load = LOAD.format(address=address, branch=f"step{run.about.latest_step}")
    return "\n\n".join((FRONT + title, images, rest.rstrip(), load)).encode()
