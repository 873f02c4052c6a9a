"""A run's card: what was trained, what happened when, its digests, how to repeat and cite it."""

import re
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from grokprobe.analysis.emergence import Held, Lag, Level, Phases, Transition
from grokprobe.store.records import KeyRecord, NullRecord, Status, TaskRecord
from service.runs.emergence import answer_emergence
from service.runs.view import LABELS, RunView

SECTIONS = {"task", "model", "optimiser", "training", "checkpoints"}  # of what we trained
NAME = re.compile(r"[a-z][a-z0-9_]*")
NOT_RECORDED = "a run's records name no versions of libraries; its training states do"
NOT_OURS = "others trained it: its configuration is not known"


class CardCheckpoint(msgspec.Struct):
    """A checkpoint that a label names, and the digest of its model.onnx."""

    step: int
    sha256: str


class CardDigests(msgspec.Struct):
    """SHA-256 in hexadecimal; `card` is of the run's seal: of all its records."""

    card: str
    run_record: str
    split: str | None
    configuration: str
    checkpoints: dict[str, CardCheckpoint]  # by label; those that are not reached are left out


class CardCitation(msgspec.Struct):
    """How to cite the run, by its digest; null while it may still change."""

    text: str
    bibtex: str


class CardAnswer(msgspec.Struct):
    """All that a reader needs of a run; null for what is not known or has not happened.

    `absent` says why, by field.
    """

    run: str
    provisional: bool
    status: Status
    reason: str  # how it ended
    created_at: str
    task: TaskRecord
    architecture: dict[str, Any]
    optimiser: dict[str, Any]
    seed: int | None
    checkpoint_count: int
    memorised: Held | None
    generalised: Held | None
    series: dict[str, Transition]
    lags: dict[str, dict[Level, Lag | None]]
    phases: Phases
    keys: KeyRecord | None
    nulls: list[NullRecord]
    digests: CardDigests
    versions: dict[str, str]
    command: str | None
    citation: CardCitation | None
    absent: dict[str, str]


def answer_card(view: RunView) -> CardAnswer:
    """The card, of records alone."""
    manifest, found = view.manifest, answer_emergence(view)
    command = command_of(manifest.run, manifest.config)
    return CardAnswer(
        run=manifest.run,
        provisional=view.provisional,
        status=view.status,
        reason=view.completion.reason if view.completion else "",
        created_at=manifest.created_at.isoformat(),
        task=manifest.task,
        architecture=manifest.architecture,
        optimiser=manifest.optimiser,
        seed=manifest.seed,
        checkpoint_count=len(view.steps),
        memorised=found.memorised,
        generalised=found.generalised,
        series=found.series,
        lags=found.lags,
        phases=found.phases,
        keys=found.keys,
        nulls=found.nulls,
        digests=_digests(view),
        versions={"grokprobe": version("grokprobe"), "format": str(manifest.format_version)},
        command=command,
        citation=_citation(view) if view.completion else None,
        absent=_absent(view, command),
    )


def command_of(run: str, config: Mapping[str, Any]) -> str | None:
    """What trains the run again; None where others trained it.

    It sets each field, so that neither a preset's values nor later defaults matter; and the name,
    which every model.onnx has within it, so that digests may be equal.
    """
    if not config.keys() >= SECTIONS or not all(isinstance(s, Mapping) for s in config.values()):
        return None
    fields = [(f"{name}.{field}", v) for name, of in config.items() for field, v in of.items()]
    if not all(NAME.fullmatch(part) for name, _ in fields for part in name.split(".", 1)):
        return None
    written = (f"{name}={msgspec.json.encode(value).decode()}" for name, value in fields)
    return shlex.join(
        ["grokprobe", "train", "--run", run, "--preset", "quickstart"]
        + [word for text in written for word in ("--set", text)]
    )


def _digests(view: RunView) -> CardDigests:
    named = {label: step for label in LABELS if (step := view.labelled(label)) is not None}
    return CardDigests(
        card=view.digest,
        run_record=view.identity,
        split=view.manifest.task.split_sha256,
        configuration=view.manifest.config_sha256,
        checkpoints={
            label: CardCheckpoint(step, view.checkpoints[step].model.sha256)
            for label, step in named.items()
        },
    )


def _citation(view: RunView) -> CardCitation:
    run, year, ours = view.manifest.run, view.manifest.created_at.year, version("grokprobe")
    address, digest = "?".join(view.card), f"sha256:{view.digest}"
    text = f"Run {run} ({year}), {digest}, read by grokprobe {ours}, {address}."
    fields = {
        "title": f"Run {run}".replace("_", r"\_"),
        "year": str(year),
        "note": f"{digest}, read by grokprobe {ours}",
        "howpublished": address,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return CardCitation(text, "\n".join([f"@misc{{{run},", *lines, "}"]))


def _absent(view: RunView, command: str | None) -> dict[str, str]:
    absent = {"versions": NOT_RECORDED}
    if command is None:
        absent["command"] = NOT_OURS
    if view.completion is None:
        absent["citation"] = "the run goes on: its digest changes until it has ended"
    if view.manifest.task.split_sha256 is None:
        absent["split"] = "nobody knows which pairs were train pairs"
    if not (view.completion and view.completion.nulls):
        absent["nulls"] = "none are stored with the run"
    return absent
