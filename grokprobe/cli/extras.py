"""What a command needs beyond the base install."""

import sys
from importlib.util import find_spec

from grokprobe.errors import InvalidInput
from grokprobe.runtimes import runtimes

# The modules that each extra brings, the one that says most first; a test compares pyproject.toml.
STORE = ("obstore", "redis", "onnx")
LOOP = () if sys.platform == "win32" else ("uvloop",)
SERVICE = (
    *("litestar", "uvicorn", *LOOP, "httptools", "onnxruntime", "pyarrow", "PIL"),
    *("cachetools", "prometheus_client", "safetensors", "threadpoolctl", "zstandard", *STORE),
)
TRAINER = (
    *("torch", "onnxruntime", "onnxscript", "safetensors", "einops"),
    *("prometheus_client", "threadpoolctl", *STORE),
)
# `demo` brings a Redis server and pictures too: one may be on PATH, and pictures may be lacking.
MODULES = {
    "store": STORE,
    "service": SERVICE,
    "trainer": TRAINER,
    "demo": SERVICE,
    "export": ("xarray", "zarr", "pyarrow", "safetensors"),
    "hub": ("huggingface_hub",),
    "mcp": ("mcp",),
}


def check_installed(command: str, *extras: str) -> None:
    """Raise InvalidInput if a module of the extras is not here; it says which pip brings it."""
    lacking = {extra: missing for extra in extras if (missing := _missing(extra))}
    if lacking:
        [first, *_] = next(iter(lacking.values()))
        advice = f"bring it by: {pip_install(*lacking)}"
        raise InvalidInput(command, f"needs {first}, which is not installed; {advice}")


def is_installed(extra: str) -> bool:
    """Whether all modules of an extra are here."""
    return not _missing(extra)


def _missing(extra: str) -> list[str]:
    return [module for module in MODULES[extra] if find_spec(module) is None]


def pip_install(*extras: str) -> str:
    """The line that brings extras, by the names that bring no second ONNX Runtime."""
    here = runtimes()
    if here == ["onnxruntime"] or ("demo" in extras and not here):
        names = {"service": "service-cpu", "trainer": "trainer-cpu"}
    else:
        names = {"demo": "service"} if here else {}
    return f"pip install 'grokprobe[{','.join(names.get(extra, extra) for extra in extras)}]'"
