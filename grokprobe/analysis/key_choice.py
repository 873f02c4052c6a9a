"""The key frequencies of a checkpoint, by whichever rule of keys.py is asked for."""

from typing import TypeVar

from grokprobe.analysis import keys as rules
from grokprobe.analysis.keys import Keys
from grokprobe.analysis.nulls import SMALLEST_ORDER
from grokprobe.analysis.probe import Probe
from grokprobe.errors import InvalidInput

T = TypeVar("T")

RULES = ("logits", "neurons", "embedding")


def choose_keys(probe: Probe, rule: str = "logits", threshold: float | None = None) -> Keys | None:
    """The key frequencies by a rule; None where the operation has none.

    `threshold` is that of the rule `logits`. Raises InvalidInput for an unknown rule, a threshold
    that the rule does not take, or an output that the model does not offer.
    """
    if rule not in RULES:
        raise InvalidInput("key_rule", f"must be one of {', '.join(RULES)}, got {rule!r}")
    if threshold is not None and rule != "logits":
        raise InvalidInput("key_threshold", f"the rule {rule} takes none; it is of the rule logits")
    if probe.basis.direction is None or probe.basis.order < SMALLEST_ORDER:
        return None
    if rule == "logits":
        found = _offered(probe.coefficients, rule)
        return rules.keys_by_logits(found, rules.LOGITS if threshold is None else threshold)
    if rule == "neurons":
        return rules.keys_by_neurons(_offered(probe.read_neurons, rule), probe.basis.order)
    return rules.keys_by_embedding(probe.basis.rows(_offered(probe.embedding, rule)))


def _offered(output: T | None, rule: str) -> T:
    if output is None:
        raise InvalidInput("key_rule", f"the rule {rule} needs an output that this model lacks")
    return output
