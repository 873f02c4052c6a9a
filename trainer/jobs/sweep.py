"""The cells of a sweep on one machine: each a process of its own, so many at once.

The CPUs that this process may use are shared out among those: two cells with one thread each are
done sooner than one after the other with two.

A failing cell does not stop the others. Ctrl-C or SIGTERM asks each process once to stop, as
`train` is asked; a second Ctrl-C kills them. The same command again goes on.
"""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Iterator
from contextlib import suppress

from grokprobe.errors import SettingError
from grokprobe.machine.cpus import allowed_cpus, most_threads
from grokprobe.settings import Settings, variable
from trainer.config.sweep import Sweep
from trainer.jobs.existing import standing
from trainer.jobs.signals import early
from trainer.reporting.exit_status import Exit, common_status
from trainer.reporting.sweep_board import Row, SweepBoard, make_board, parse_event

LINE_BYTES = 2**20  # of a child; a line is an event or one line of an error
INTERRUPTED = {128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT}


class SweepProcesses:
    """Trains the rows that are waiting."""

    def __init__(
        self, sweep: Sweep, settings: Settings, rows: list[Row], board: SweepBoard
    ) -> None:
        self._sweep, self._settings, self._board = sweep, settings, board
        self._waiting: Iterator[Row] = iter([row for row in rows if row.status == "waiting"])
        self._children: set[Process] = set()
        self.signal = next(iter(early), 0)  # the first one that came

    async def train(self, jobs: int) -> None:
        """Train all, `jobs` at once; every process has ended when this returns or raises."""
        self._threads = share(jobs)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._interrupted, number)
        async with asyncio.TaskGroup() as group:
            for slot in range(jobs):
                group.create_task(self._work(slot))

    def _interrupted(self, number: int) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                if not self.signal:
                    child.terminate()
                elif number == signal.SIGINT:
                    child.kill()
        self.signal = self.signal or number

    async def _work(self, slot: int) -> None:
        for row in self._waiting:  # shared by all slots
            await self._train(row, slot)
            self._board.ended(row)
            if self.signal:
                return

    async def _train(self, row: Row, slot: int) -> None:
        row.status = "running"
        arguments = ["sweep", str(self._sweep.path), "--run", self._sweep.group]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "trainer", *arguments, "--index", str(row.cell.index)),
            env=os.environ | child_environment(self._settings, slot, self._threads),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=LINE_BYTES,
            process_group=0,  # Ctrl-C reaches this process alone, which stops each child once
        )
        self._children.add(child)
        try:
            if self.signal:
                child.terminate()
            last = await self._listen(row, child)
        finally:
            if child.returncode is None and sys.exc_info()[0]:
                child.terminate()
            _conclude(row, await child.wait(), asked=self.signal > 0)
            self._children.discard(child)
        if row.status in ("failed", "refused"):
            row.reason = last or row.reason

    async def _listen(self, row: Row, child: Process) -> str:
        """Hear all that a child says; return its last words that are no event."""
        last = ""
        assert child.stdout is not None
        async for line in child.stdout:
            if event := parse_event(line):
                row.facts |= event
                self._board.heard(row, event)
            elif words := line.decode(errors="replace").strip():
                last = words.removeprefix("error: ")
        return last


def _conclude(row: Row, code: int, *, asked: bool) -> None:
    """What the exit status says: done, though perhaps not indexed; refused; all others failed.

    A child that a signal ended after it was `asked` to stop was killed by a second Ctrl-C.
    """
    row.code = code
    if code in (Exit.DONE, Exit.INDEX_BEHIND):
        row.status = row.facts.get("status", "complete")
    elif code in INTERRUPTED or (asked and code < 0):
        row.status = "interrupted"
    else:
        row.status = "refused" if code == Exit.REFUSED else "failed"
        row.reason = f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def at_once(sweep: Sweep) -> int:
    """How many cells to train where nobody says: one a CPU; one where a GPU trains them."""
    on_cpu = all(cell.config.training.device == "cpu" for cell in sweep.cells)
    return allowed_cpus() if on_cpu or not has_gpu() else 1


def has_gpu() -> bool:
    """Whether the driver finds a GPU; asked without torch, whose import takes seconds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    driver.cuInit(0)
    return not driver.cuDeviceGetCount(ctypes.byref(count)) and count.value > 0


def share(jobs: int) -> int:
    """The threads of each of so many children, or OMP_NUM_THREADS if that is fewer."""
    return min(most_threads(), max(1, allowed_cpus() // jobs))


def child_environment(settings: Settings, slot: int, threads: int) -> dict[str, str]:
    """What a child is told: JSON lines, its threads, and metrics where no other child has them."""
    found = {variable("log_format"): "json", "OMP_NUM_THREADS": str(threads)}
    if slot and settings.trainer_metrics_port:
        found[variable("trainer_metrics_port")] = str(settings.trainer_metrics_port + slot)
    if slot and settings.trainer_metrics_file:
        stem = settings.trainer_metrics_file.removesuffix(".prom")
        found[variable("trainer_metrics_file")] = f"{stem}-{slot}.prom"
    return found


def train_all(sweep: Sweep, settings: Settings, jobs: int | None) -> int:
    """Train what is not trained yet, `jobs` at once or as `at_once` says; return the exit status.

    128 + signal if one came before every run was complete, else what all cells that did not exit
    with 0 have in common, else 1. Raises InvalidInput, before any training, if a run exists with
    another configuration.
    """
    jobs = jobs or at_once(sweep)
    last_port = settings.trainer_metrics_port + jobs - 1
    if settings.trainer_metrics_port and last_port > 65_535:
        message = f"{jobs} trainers would serve up to port {last_port}; choose a smaller one"
        raise SettingError(variable("trainer_metrics_port"), message)
    ended = standing(settings, [(cell.run, cell.config) for cell in sweep.cells])
    rows = [Row(cell) for cell in sweep.cells]
    for row in rows:
        if completion := ended.get(row.cell.run):
            row.status, row.reason = completion.status, completion.reason
            row.facts["step"] = completion.step
            row.code = Exit.FAILED if completion.status == "failed" else Exit.DONE
    board = make_board(settings, rows)
    cells = SweepProcesses(sweep, settings, rows, board)
    try:
        for row in rows:
            if row.status != "waiting":
                board.ended(row)
        waiting = sum(row.status == "waiting" for row in rows)
        asyncio.run(cells.train(max(1, min(jobs, waiting))))
    finally:
        board.close(rows)
    if cells.signal and not all(row.done for row in rows):
        return 128 + cells.signal
    return common_status({row.code for row in rows})
