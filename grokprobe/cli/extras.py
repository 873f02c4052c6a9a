"""What a command needs beyond the base install."""

from importlib.util import find_spec

from grokprobe.errors import InvalidInput

# The modules that each extra brings, the one that says most first; a test compares pyproject.toml.
MODULES = {
    "service": (
        *("litestar", "uvicorn", "uvloop", "httptools", "onnxruntime", "onnx", "pyarrow"),
        *("PIL", "cachetools", "prometheus_client", "threadpoolctl", "zstandard"),
    ),
    "trainer": (
        *("torch", "onnxruntime", "onnx", "onnxscript", "safetensors", "einops", "rich"),
        *("prometheus_client", "threadpoolctl"),
    ),
}


def check_installed(command: str, *extras: str) -> None:
    """Raise InvalidInput if a module of the extras is not here; it says which pip brings it."""
    lacking = {
        extra: missing
        for extra in extras
        if (missing := [module for module in MODULES[extra] if find_spec(module) is None])
    }
    if lacking:
        [first, *_] = next(iter(lacking.values()))
        advice = f"bring it by: pip install 'grokprobe[{','.join(lacking)}]'"
        raise InvalidInput(command, f"needs {first}, which is not installed; {advice}")
