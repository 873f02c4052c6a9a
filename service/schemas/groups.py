"""The JSON of answers about groups of runs."""

from typing import Any

import msgspec

from grokprobe.analysis.emergence import Held, Lag, Transition
from grokprobe.analysis.ensemble import Delay, Distribution, SignedDistribution
from grokprobe.store.manifest import Status


class MemberRow(msgspec.Struct, frozen=True):
    """What one run tells; null for what has not happened, or not yet.

    `config` has the fields in which the members' configurations differ, by dotted name. The
    accuracies are those of its latest checkpoint, `transition` is of test accuracy.
    """

    run: str
    seed: int | None
    status: Status
    checkpoint_count: int
    latest_step: int | None
    config: dict[str, Any]
    train_accuracy: float | None
    test_accuracy: float | None
    memorised: Held | None
    generalised: Held | None
    delay: Delay | None
    transition: Transition
    lags: dict[str, Lag | None]  # of each structure series' midpoint


class Distributions(msgspec.Struct, frozen=True):
    """Each quantity over the members, in steps."""

    memorised: Distribution
    generalised: Distribution
    delay: SignedDistribution
    lags: dict[str, SignedDistribution]


class GroupEmergenceAnswer(msgspec.Struct, frozen=True):
    """A group; `provisional` while any of its members goes on."""

    group: str
    provisional: bool
    differing: list[str]  # the names that `config` has in every row
    distribution: Distributions
    members: list[MemberRow]
