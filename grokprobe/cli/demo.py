"""`grokprobe demo`: serve, train `quickstart` before the user's eyes, go on serving until Ctrl-C.

The page's address is said first. Where there is a desktop it opens as soon as the run is there, so
that the circle is seen to form. A second start serves the run, or resumes one that was stopped.
Without torch, or if it is asked to, it serves the run that comes with the package in its stead.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grokprobe.addresses import listen
from grokprobe.cli.desktop import has_desktop, open_page
from grokprobe.cli.extras import is_installed, pip_install
from grokprobe.cli.programs import command_line, environment
from grokprobe.cli.shipped import RUN as SHIPPED
from grokprobe.errors import GrokprobeError, SettingError
from grokprobe.settings import Settings, read_settings, variable

RUN = "quickstart"
START_S = 30
STOP_S = 30
LOOK_S = 0.3  # between two looks: has a child ended, is the run there, shall the demo stop

CURLS = """
Early on, the numbers lie anywhere; at the end they lie on circles. Try:

  curl '{v1}/trajectory?format=csv'
  curl '{v1}/checkpoints/memorised/spectrum?format=csv'
  curl '{v1}/checkpoints/latest/spectrum?null=200'
  curl '{v1}/checkpoints/first/embedding'
  curl '{v1}/checkpoints/latest/embedding'
  curl '{v1}/checkpoints/latest/predictions?a=3&b=5'
  curl '{v1}/checkpoints/memorised/predictions' -d '{{"pairs": [[3, 5], [20, 50]], "top": 3}}'
  curl -O '{v1}/checkpoints/latest/model.onnx'

The run's page: {page}
The API, to read and to try: {base}/schema
"""

TRAINING = f"""training {RUN}: train accuracy rises first,
test accuracy much later. Every checkpoint can be asked while training goes on."""
SHOWING = f"""{SHIPPED} was trained before and comes with
the package: move the step, by slider or arrow keys, from the first to the last."""
KEYS = "asks everybody for a key, the demo has none; unset it, or start grokprobe serve and train"

asked: list[int] = []  # the signals that have come


class Stopped(Exception):
    """Ctrl-C or SIGTERM has come: the demo stops."""


def _note(signum: int, _frame: object) -> None:
    """No more than a note: what is raised here is lost if a library ignores errors just there."""
    asked.append(signum)


def has_ended(child: Any, after: float = LOOK_S) -> bool:
    """Whether a child has ended, a moment from now. Raises Stopped if that is asked for."""
    time.sleep(after)
    if asked:
        raise Stopped
    return child.poll() is not None


def end_of(child: Any) -> int:
    """Its exit status, once it has ended. Raises Stopped if that is asked for first."""
    while not has_ended(child):
        pass
    return int(child.returncode)


def get(url: str) -> Any:
    """The JSON at a URL; None where the answer is 404 or nobody listens yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    except (OSError, ValueError):  # nobody listens, or somebody who does not speak JSON
        return None


@contextlib.contextmanager
def running(module: str, *arguments: str, log: Path | None = None) -> Iterator[Any]:
    """A program of ours as a child; leaving stops it and waits until it has stopped."""
    command = command_line(module, *arguments)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("a")) if log else None
        # A group of its own: Ctrl-C reaches this program alone, which stops each child once.
        child = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment(), process_group=0
        )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)  # SIGTERM would wait until clients have left
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def check_free(settings: Settings) -> None:
    """Raise SettingError if something listens already: it would answer in the service's place."""
    for listener in listen(settings.host, settings.port, variable("port")):
        listener.close()


def wait_until_live(base: str, service: Any, log: Path) -> bool:
    """True once the service answers; False, with its own words, if it stopped instead."""
    deadline = time.monotonic() + START_S
    while not has_ended(service, 0.1) and time.monotonic() < deadline:
        if get(f"{base}/livez"):
            return True
    print((log.read_text().splitlines() or ["error: it did not start"])[-1], file=sys.stderr)
    return False


def train(v1: str, there: Callable[[], None]) -> int:
    """Train the run, or resume it, or leave it if it is complete; the trainer's exit code.

    `there` is called once the run can be asked.
    """
    known = get(v1)
    if known:
        there()
    if known and known["status"] == "complete":
        print(f"{RUN} is trained already: {known['checkpoint_count']} checkpoints")
        return 0
    preset = ("--preset", "quickstart", "--run", RUN, "--resume")
    with running("trainer", "train", *preset) as trainer:
        ended = False
        while not ended:
            ended = has_ended(trainer)
            if not known and (known := get(v1)):
                there()
        return int(trainer.returncode)


def publish(v1: str, there: Callable[[], None]) -> int:
    """Publish the run that comes with the package, or leave one that is complete; an exit code."""
    known = get(v1)
    if not known or known["status"] != "complete":
        with running("grokprobe.cli.shipped") as publisher:
            if end_of(publisher):
                return 2
    there()
    return 0


def show(settings: Settings, browser: bool, trains: bool) -> int:
    """Serve, train or publish what is shipped, print what to try, and wait."""
    base, run = settings.url, RUN if trains else SHIPPED
    v1, page = f"{base}/v1/runs/{run}", f"{base}/#/runs/{run}"
    check_free(settings)
    if settings.api_keys_file:
        raise SettingError(variable("api_keys_file"), KEYS)
    log = settings.home_path / "service.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError as error:
        raise SettingError("GROKPROBE_HOME", f"cannot be written: {error.strerror}") from None
    with running("service", log=log) as service:
        if not wait_until_live(base, service, log):
            return 2
        print(f"{page}  <- watch the circle form here")
        print(f"serving on {base} (log: {log}); {TRAINING if trains else SHOWING}", flush=True)
        there = functools.partial(open_page, page) if browser else lambda: None
        if code := (train if trains else publish)(v1, there):
            return code
        print(CURLS.format(base=base, v1=v1, page=page))
        if not trains:
            first = "" if is_installed("trainer") else f"{pip_install('demo', 'trainer')}, then "
            print(f"To see {RUN} being trained: {first}grokprobe demo")
        print("Ctrl-C stops everything; the next demo serves this run again.", flush=True)
        return end_of(service)


def demo(browser: bool, trains: bool) -> int:
    """Exit status 0 after Ctrl-C once the demo stands, the trainer's if training failed.

    `browser` says whether the page may be opened, `trains` whether a run is trained or the one
    that comes with the package is shown.
    """
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _note)
    try:
        return show(read_settings(), browser and has_desktop(os.environ), trains)
    except Stopped:
        return 0
    except (GrokprobeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
