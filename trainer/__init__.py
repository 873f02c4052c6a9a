"""A job: configuration in, published checkpoints out. torch lives here and nowhere else."""

import os

# Both are read when torch or ONNX Runtime is imported, so they stand before every import of ours.
# Waiting OpenMP threads spin for microseconds, not for milliseconds, before they sleep: beside
# other busy processes a step of `quickstart` takes 10 to 45 ms and not hundreds. On idle cores
# nothing changes (9 ms), where OMP_WAIT_POLICY=passive, which sleeps at once, costs 7 ms more.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
# ONNX Runtime reports to its maker unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
