"""What a sweep shows: a live table on a terminal, else a line for each cell that ends, or JSON."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from grokprobe.settings import Settings
from trainer.config.sweep import Cell
from trainer.reporting.progress import print_json, wants_text

COLOURS = {"running": "cyan", "complete": "green", "failed": "red", "refused": "red"}
# What a table too small for all cells shows first.
IMPORTANT = ("running", "failed", "refused", "interrupted", "waiting", "stopped", "complete")
OUTSIDE_ROWS = 8  # lines of the terminal that are not rows of the table


@dataclass
class Row:
    """How a cell stands."""

    cell: Cell
    status: str = "waiting"  # running complete stopped failed refused interrupted
    reason: str = ""
    code: int = 0  # the exit status of its process
    facts: dict[str, Any] = field(default_factory=dict)  # the latest of each name

    @property
    def done(self) -> bool:
        """Whether the cell is complete, or stopped by its own rule."""
        return self.status in ("complete", "stopped")


class SweepBoard(Protocol):
    """Where the cells of a sweep are shown."""

    def heard(self, row: Row, event: Mapping[str, Any]) -> None:
        """A cell's process reported an event; the cell's row knows it already."""

    def ended(self, row: Row) -> None:
        """A cell has ended, or had before."""

    def close(self, rows: list[Row]) -> None:
        """The sweep is over; may be the only call."""


class JsonBoard:
    """The events of all cells, each with its cell; `cell` where one ends, `sweep` at last."""

    def heard(self, row: Row, event: Mapping[str, Any]) -> None:
        """Print the event, with its cell."""
        print_json({**event, "cell": row.cell.index})

    def ended(self, row: Row) -> None:
        """Print the event `cell`."""
        print_json({"event": "cell", **_identity(row), "status": row.status})

    def close(self, rows: list[Row]) -> None:
        """Print the event `sweep`: how many cells there are, are done, which failed and why."""
        failed = [_identity(row) for row in rows if row.status in ("failed", "refused")]
        done = sum(row.done for row in rows)
        print_json({"event": "sweep", "cells": len(rows), "complete": done, "failed": failed})


class TextBoard:
    """A table that moves, on a terminal; what is printed above it stays."""

    def __init__(self, rows: list[Row], console: Console | None = None) -> None:
        self._rows, self._console = rows, console or Console()
        self._live = Live(
            get_renderable=self._table, console=self._console, refresh_per_second=2, transient=True
        )
        if self._console.is_terminal:
            self._live.start()

    def heard(self, row: Row, event: Mapping[str, Any]) -> None:
        """Print warnings; the table draws itself."""
        if event["event"] == "warning":
            self._print(f"warning of cell {row.cell.index}: {event.get('message')}")

    def ended(self, row: Row) -> None:
        """Print a line that stays above the table."""
        reason = f": {row.reason}" if row.reason else ""
        self._print(f"{row.status} {row.cell.index:>5}  {row.cell.run}  {row.cell.words}{reason}")

    def close(self, rows: list[Row]) -> None:
        """Take the table away; say how many are done, and which failed and why."""
        if self._live.is_started:
            self._live.stop()
        done = sum(row.done for row in rows)
        more = (
            "" if done == len(rows) else "; the same command goes on with those that have not ended"
        )
        self._print(f"{done} of {len(rows)} runs are complete{more}")
        for row in rows:
            if row.status in ("failed", "refused"):
                self._print(f"{row.status}: cell {row.cell.index}, {row.cell.run}: {row.reason}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table("cell", "run", "varying", "status", "step", "test accuracy", "steps/s")
        room = max(1, self._console.height - OUTSIDE_ROWS)
        shown = sorted(self._rows, key=lambda row: IMPORTANT.index(row.status))[:room]
        for row in sorted(shown, key=lambda row: row.cell.index):
            table.add_row(*map(Text, _cells(row)), style=COLOURS.get(row.status))
        done = sum(row.done for row in self._rows)
        table.caption = f"{done} of {len(self._rows)} complete"
        return table


def _identity(row: Row) -> dict[str, Any]:
    found = {"cell": row.cell.index, "run": row.cell.run, **row.cell.varying}
    return found | ({"reason": row.reason} if row.reason else {})


def _cells(row: Row) -> list[str]:
    facts, steps = row.facts, row.cell.config.training.steps
    accuracy, rate = facts.get("test_accuracy"), facts.get("steps_per_s")
    return [
        str(row.cell.index),
        row.cell.run,
        row.cell.words,
        row.status,
        f"{facts['step']:,}/{steps:,}" if "step" in facts else "",
        "" if accuracy is None else f"{accuracy:.3f}",
        f"{rate:.0f}" if rate and row.status == "running" else "",
    ]


def parse_event(line: bytes) -> dict[str, Any] | None:
    """The event in a line of a trainer; None if the line is something else."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "event" in found else None


def make_board(settings: Settings, rows: list[Row]) -> SweepBoard:
    """The board that GROKPROBE_LOG_FORMAT asks for, as progress.make_reporter chooses."""
    return TextBoard(rows) if wants_text(settings, sys.stdout) else JsonBoard()
