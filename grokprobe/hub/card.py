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
## Loading it

    grokprobe pull {address}                                   the whole run, into a store
    grokprobe pull {address} --revision generalised -o FOLDER  one checkpoint, as files

A branch for every step (`{branch}`) has `model.onnx`, which runs in any ONNX runtime (input
`pairs`, int64 (batch, 2); output `logits`), `model.safetensors` with the same weights, and
`manifest.json` with the SHA-256 of the ONNX file, as it was published.

## Citing it

Name `{address}`, the run, the revision and the SHA-256 of its `run.json`, which is {digest}.
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


def card(run: Run, address: str, digest: str, shown: dict[str, bytes]) -> bytes:
    """README.md as bytes; `digest` is of run.json."""
    about = run.about
    task = about.task
    lines = [
        FRONT + f"# {about.run}",
        f"A small network trained on `{task.operation}` modulo {task.modulus}, watched at "
        f"{about.checkpoint_count} checkpoints up to step {about.latest_step}.",
        *(f"![{name.partition('.')[0]}]({name})" for name in shown),
        "\n".join(_emergence(run)),
        LOAD.format(address=address, digest=digest, branch=f"step{about.latest_step}"),
    ]
    return "\n\n".join(lines).encode()


def _emergence(run: Run) -> list[str]:
    """The table of what happened when; dashes for what did not."""
    emergence = run.emergence()
    held = {"memorised": emergence.memorised, "generalised": emergence.generalised}
    rows = [f"| {name} | {one.step if one else '-'} |" for name, one in held.items()]
    keys = ", ".join(map(str, run.about.key_frequencies or [])) or "-"
    return ["| what | step |", "|---|---|", *rows, "", f"Key frequencies: {keys}."]
