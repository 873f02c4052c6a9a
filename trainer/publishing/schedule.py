"""Which steps are published: close together early, where memorisation happens, linear later."""

import numpy as np

from trainer.config.schema import CheckpointSection


def published_steps(checkpoints: CheckpointSection, steps: int) -> list[int]:
    """The steps to publish of a run of `steps` updates, sorted, each once.

    Step 0, `log_spaced` points from 1 to `every`, each multiple of `every`, the dense windows
    (from, to, every; both ends included), and the last step.
    """
    early = np.geomspace(1, checkpoints.every, checkpoints.log_spaced).round().astype(int)
    due = {0, steps, *early.tolist(), *range(0, steps, checkpoints.every)}
    for start, end, every in checkpoints.dense:
        due.update(range(start, min(end, steps) + 1, every))
    return sorted(step for step in due if step <= steps)
