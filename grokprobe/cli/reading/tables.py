"""Answers as tables in a terminal."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from grokprobe.client.records import (
    CheckpointAnswer,
    CompareAnswer,
    EmergenceAnswer,
    Held,
    PartComparison,
    PredictionAnswer,
    RunAnswer,
)

NOTHING = "-"


def said(value: Any) -> str:
    """A value as a person reads it: numbers with four digits, - where there is none."""
    match value:
        case None | () | []:
            words = NOTHING
        case bool():
            words = "yes" if value else "no"
        case float():
            words = f"{value:.4g}"
        case datetime():
            words = f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case list() | tuple():
            words = ", ".join(map(said, value))
        case dict():
            words = ", ".join(f"{name} {said(part)}" for name, part in value.items())
        case _:
            words = str(value)
    return words


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table whose first column is text and whose others are figures."""
    found = Table(box=None, pad_edge=False)
    for place, column in enumerate(columns):
        found.add_column(column, justify="right" if place else "left")
    for row in rows:
        found.add_row(*map(said, row))
    return found


def facts(rows: Iterable[tuple[str, Any]]) -> Table:
    """Names, and what each is."""
    found = Table(box=None, pad_edge=False, show_header=False)
    found.add_column(style="bold")
    found.add_column()
    for name, value in rows:
        found.add_row(name, said(value))
    return found


def of_run(about: RunAnswer) -> Table:
    """A run's record."""
    task = about.task
    pairs = {"train": task.train_pairs, "test": task.test_pairs}
    rows: list[tuple[str, Any]] = [
        ("run", about.run),
        ("status", about.status),
        ("task", f"{task.operation} modulo {task.modulus}"),
        ("pairs", pairs if task.train_pairs else None),
        ("checkpoints", f"{about.checkpoint_count}, steps {_between(about)}"),
        ("memorised", about.memorised_step),
        ("generalised", about.generalised_step),
        ("key frequencies", about.key_frequencies),
        ("architecture", about.architecture),
        ("optimiser", about.optimiser),
        ("seed", about.seed),
        ("group", about.group),
        ("created", about.created_at),
    ]
    return facts(rows)


def _between(about: RunAnswer) -> str:
    return f"{said(about.first_step)} to {said(about.latest_step)}"


def of_checkpoint(about: CheckpointAnswer) -> list[Table]:
    """A checkpoint's file and every stored measure."""
    rows = [("run", about.run), ("step", about.step), ("created", about.created_at)]
    file = [("sha256", about.model.sha256), ("bytes", about.model.bytes)]
    return [facts([*rows, *file]), table(["measure", "value"], about.measures.items())]


def of_emergence(answer: EmergenceAnswer) -> list[Table | str]:
    """When the run memorised and generalised, and how structure moved beside that."""
    held = [
        (name, *_held(value))
        for name, value in (("memorised", answer.memorised), ("generalised", answer.generalised))
    ]
    moments = ("onset", "midpoint", "settled")
    series = [
        (name, *(None if (c := getattr(row, m)) is None else c.step for m in moments), row.rise)
        for name, row in answer.series.items()
    ]
    lags = [
        (name, *(None if (lag := row.get(m)) is None else lag.steps for m in moments))
        for name, row in answer.lags.items()
    ]
    phases = [
        (name.replace("_", " "), phase.start, phase.end)
        for name in ("memorisation", "circuit_formation", "cleanup")
        if (phase := getattr(answer.phases, name)) is not None
    ]
    found: list[Table | str] = [table(["", "step", "not yet at", "held for", "confirmed"], held)]
    if series:
        found += ["", table(["at step", *moments, "rise"], series)]
    if lags:
        found += ["\nsteps behind test accuracy; negative: before it"]
        found += [table(["series", *moments], lags)]
    if phases:
        found += ["", table(["phase", "from step", "to step"], phases)]
    return found


def _held(held: Held | None) -> Sequence[Any]:
    if held is None:
        return (None, None, None, None)
    checkpoints = f"{held.checkpoints_held} checkpoints"
    return (held.step, held.previous_step, checkpoints, held.confirmed)


def of_predictions(answer: PredictionAnswer) -> list[Table | str]:
    """What a checkpoint answers to pairs."""
    columns = ["pair", "predicted", "answer", "right", "probability", "loss", "split", "top"]
    rows = [
        (
            *(f"{row.a}, {row.b}", row.predicted, row.answer, row.correct, row.probability),
            *(row.loss, row.split),
            [f"{top.residue}: {said(top.probability)}" for top in row.top or ()],
        )
        for row in answer.predictions
    ]
    title = f"{answer.run} at step {answer.step}: {answer.operation} modulo {answer.modulus}"
    return [title, table(columns, rows)]


def of_comparison(answer: CompareAnswer) -> list[Table | str]:
    """Two checkpoints beside each other: their answers, key frequencies and weights."""
    both = [("a", answer.a), ("b", answer.b)]
    found: list[Table | str] = [
        facts((name, f"{one.run} at step {one.step}") for name, one in both)
    ]
    if answer.identical:
        found.append(facts([("identical", answer.identical)]))
    fields = ("pairs", "accuracy_a", "accuracy_b", "loss_a", "loss_b", "kl_a_b")
    turned = ("wrong_to_right", "right_to_wrong")
    rows = [
        (
            _splits(part),
            *(getattr(part, name) for name in (*fields, *turned)),
        )
        for part in answer.parts
    ]
    names = [name.replace("_", " ") for name in (*fields, *turned)]
    found += ["", table(["split of a / b", *names], rows)]
    if answer.keys:
        keys = [(row.frequency, row.change, row.share_a, row.share_b) for row in answer.keys]
        found += ["", table(["key frequency", "change", "share a", "share b"], keys)]
    if answer.weights:
        weights = [(w.name, w.norm_a, w.norm_b, w.distance, w.cosine) for w in answer.weights]
        found += ["", table(["weight", "norm a", "norm b", "distance", "cosine"], weights)]
    return found


def _splits(part: PartComparison) -> str:
    splits = (part.split_a, part.split_b)
    return "all" if splits == (None, None) else " / ".join(map(said, splits))
