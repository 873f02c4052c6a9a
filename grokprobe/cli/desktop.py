"""Opening a page in the browser of whoever sits before this machine, if anybody does."""

import subprocess
import sys
from collections.abc import Mapping

from grokprobe.cli.programs import command_line, environment

NO = ("", "0", "false")


def has_desktop(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser's window would be seen: never as CI, over ssh with a display alone."""
    if environ.get("CI", "").lower() not in NO:
        return False
    if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
        return True
    return platform == "darwin" and not (environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


def open_page(url: str) -> None:
    """Open a page in the browser that BROWSER or the desktop names; nobody waits for it.

    In a session of its own: a browser that starts with it outlives Ctrl-C and this program.
    """
    subprocess.Popen(
        command_line("webbrowser", url),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
