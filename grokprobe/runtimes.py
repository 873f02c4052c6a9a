"""Which ONNX Runtime is installed: one of several packages, all of which are the same module."""

import re
from importlib.metadata import distributions

from grokprobe.errors import InvalidInput

MODULE = "onnxruntime/__init__.py"


def runtimes() -> list[str]:
    """The names of the installed packages that hold the module `onnxruntime`."""
    named = (found for found in distributions() if found.name.startswith(("onnxruntime", "ort-")))
    return sorted({found.name for found in named if _holds_the_module(found.read_text("RECORD"))})


def _holds_the_module(record: str | None) -> bool:
    return bool(re.search(rf"^{re.escape(MODULE)},", record or "", re.MULTILINE))


def check_runtime(program: str) -> None:
    """Raise InvalidInput if several are installed: each has overwritten files of the other.

    Which one then runs, and whether a GPU is found, depends on the order of their installation.
    """
    found = runtimes()
    if len(found) > 1:
        message = (
            f"{' and '.join(found)} are installed together, and overwrite each other's files; "
            f"uninstall them and bring one back: pip uninstall {' '.join(found)}, then "
            f"pip install 'grokprobe[{program}]' (for CUDA) or 'grokprobe[{program}-cpu]'"
        )
        raise InvalidInput("ONNX Runtime", message)
