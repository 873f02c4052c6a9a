"""A job: configuration in, published checkpoints out. torch lives here and nowhere else."""

import os

# Both are read when torch or ONNX Runtime is imported, so they stand before every import of ours.
# Waiting threads sleep instead of spinning: beside one other busy process, spinning made a step of
# `quickstart` forty times slower (790 ms, asleep 20 ms); on idle cores it gains little.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# ONNX Runtime reports to its maker unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
