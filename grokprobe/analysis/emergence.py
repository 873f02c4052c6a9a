"""When, over a run's checkpoints, something became true (MATHS, "Emergence over a run")."""

from collections.abc import Sequence

import msgspec

HELD = 0.99  # the accuracy from which a split counts as memorised or generalised


class Held(msgspec.Struct, frozen=True):
    """A property that holds from `step` up to the last checkpoint.

    It became true somewhere in (previous_step, step]; previous_step is None if the first
    checkpoint already had it. Seen at the last checkpoint only: `confirmed` is False.
    """

    step: int
    previous_step: int | None
    checkpoints_held: int
    confirmed: bool


def held(
    steps: Sequence[int], values: Sequence[float | None], threshold: float = HELD
) -> Held | None:
    """The first checkpoint from which every value is >= threshold; None if the last is below."""
    count = 0
    for value in reversed(values):
        if value is None or value < threshold:
            break
        count += 1
    if count == 0:
        return None
    first = len(steps) - count
    return Held(
        step=steps[first],
        previous_step=steps[first - 1] if first else None,
        checkpoints_held=count,
        confirmed=count > 1,
    )
