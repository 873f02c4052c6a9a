"""Training states as bytes: snapshots with all their moments, as safetensors, never pickle."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load, save

from grokprobe.machine.cgroups import lines
from trainer.learning.snapshot import Snapshot

LOGITS = "sample_logits"
CPU_INFO = Path("/proc/cpuinfo")


def encode_snapshots(snapshots: Sequence[Snapshot]) -> bytes:
    """Snapshots as `STEP/weights/NAME`, `STEP/moments/KIND.NAME`, `STEP/sample_logits`."""
    tensors = {}
    for snapshot in snapshots:
        tensors[f"{snapshot.step}/{LOGITS}"] = snapshot.sample_logits
        for part in ("weights", "moments"):
            for name, array in getattr(snapshot, part).items():
                tensors[f"{snapshot.step}/{part}/{name}"] = array
    return save({name: np.ascontiguousarray(array) for name, array in tensors.items()})


def decode_snapshots(data: bytes) -> list[Snapshot]:
    """The snapshots, by step; the last is where training stood.

    Raises SafetensorError, KeyError, ValueError for bytes that are none.
    """
    found: dict[int, dict[str, dict[str, NDArray[Any]]]] = {}
    for place, array in load(data).items():
        step, part, name = f"{place}/".split("/", 2)
        found.setdefault(int(step), {})
        found[int(step)].setdefault(part, {})[name.rstrip("/")] = array
    return [
        Snapshot(step, parts["weights"], parts[LOGITS][""], parts.get("moments", {}))
        for step, parts in sorted(found.items())
    ]


def environment(device: torch.device, members: int) -> dict[str, str | int]:
    """What the bits of a result depend on beside configuration and code."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "members": members,  # that learn as one computation
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    told = (line.partition(":") for line in lines(CPU_INFO))
    models = (value.strip() for name, _, value in told if name.startswith("model name"))
    return next(models, platform.machine())
