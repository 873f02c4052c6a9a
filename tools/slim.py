"""`python slim.py SITE_PACKAGES`: delete what no program of ours loads; for the build of images.

By itself, without our packages: it runs before they are there. tests/deploy runs the images that it
leaves, over every format.
"""

import shutil
import subprocess
import sys
from pathlib import Path

# Paths in site-packages.
UNUSED = (
    "*/**/tests",
    "numpy/distutils",
    "numpy/f2py",
    "onnx/backend/test",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
    "faker/providers",  # litestar's, for invented examples in a document that has none
    "pyarrow/include",
    "pyarrow/src",
    "pyarrow/_flight*",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/_s3fs*",
    "pyarrow/libarrow_s3*",
    "pyarrow/libarrow_python.so",  # the same bytes three times
    "pyarrow/libarrow_python.so.*.*",
    "zstandard/_cffi*",
    "torch/include",
    "torch/test",
    "nvidia/**/include",
    "nvidia/**/*.a",
    "**/*.pyx",
    "**/*.pxd",
)
# Libraries of which much is symbols that nothing is linked by.
SYMBOLS = ("ml_dtypes/*.so", "pyarrow/*.so*", "uvloop/*.so", "zstandard/*.so")


def slim(packages: Path) -> None:
    """Delete what is unused, and strip libraries of the symbols that nobody needs."""
    for pattern in UNUSED:
        for path in list(packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    libraries = [str(path) for pattern in SYMBOLS for path in packages.glob(pattern)]
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)


if __name__ == "__main__":
    slim(Path(sys.argv[1]))
