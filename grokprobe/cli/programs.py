"""The programs of trainer and service, as `python -m` starts them."""

import os
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[2]  # trainer and service lie beside grokprobe


def command_line(module: str, *arguments: str) -> list[str]:
    """What starts a program of ours."""
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, in which `-m` finds ours and not what lies in any other folder.

    `python -m` looks into the current folder first, and others write a `trainer.py` too.
    """
    here = ROOT.samefile(".")
    return {**os.environ} if here else {**os.environ, "PYTHONSAFEPATH": "1"}


def become(module: str, *arguments: str) -> NoReturn:
    """Go on as that program: signals reach it, and its exit status is this process's."""
    os.execve(sys.executable, command_line(module, *arguments), environment())
