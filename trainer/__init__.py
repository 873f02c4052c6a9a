"""A job: configuration in, published checkpoints out. torch lives here and nowhere else."""

import os

# All are read when torch, numpy or ONNX Runtime is imported, so they stand before our own imports.
# Waiting OpenMP threads sleep, and at once where they outnumber the CPUs; else they spin for some
# microseconds before. Spinning for milliseconds, as libgomp does by itself, makes a step of
# `quickstart` up to forty times slower beside one other busy process (790 ms); never spinning makes
# it nearly twice as slow on idle cores (16 ms, not 9).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# numpy measures beside training, whose threads have the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# ONNX Runtime reports to its maker unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
