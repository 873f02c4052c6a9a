"""A job: configuration in, published checkpoints out. torch lives here and nowhere else."""

import os

# All are read when torch, numpy or ONNX Runtime is imported, so they stand before our own imports.
# Waiting OpenMP threads spin for microseconds, not for milliseconds, before they sleep. Spinning as
# long as the default does makes a step of `quickstart` up to forty times slower beside one other
# busy process (790 ms); sleeping at once (OMP_WAIT_POLICY=passive) nearly twice as slow on idle
# cores (16 ms, not 9). This takes 9 ms on idle cores, 20 to 40 beside a busy process.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# numpy measures beside training, whose threads have the cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# ONNX Runtime reports to its maker unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
