"""Textbook definitions of what a run answers to each pair, by loops over pairs and steps."""

from collections.abc import Sequence
from fractions import Fraction


def slow_learning(predicted: Sequence[int], answer: int) -> tuple[int, int]:
    """From which checkpoint a pair is right up to the end, -1 for none, and how often it was lost.

    `predicted` has what each checkpoint answers; an answer below 0 is none.
    """
    right = [guess == answer for guess in predicted]
    learnt = -1
    for number in reversed(range(len(right))):
        if not right[number]:
            break
        learnt = number
    lost = sum(1 for n in range(1, len(right)) if right[n - 1] and not right[n])
    return learnt, lost


def slow_pair_sum(
    pairs: Sequence[int], learnt: Sequence[int], lost: Sequence[int], margins: Sequence[float]
) -> tuple[int, int, int, int, float]:
    """Of some pairs: how many, how many learnt, when half were, times lost, mean margin."""
    known = [learnt[pair] for pair in pairs if learnt[pair] >= 0]
    candidates = [n for n in sorted(set(known)) if 2 * sum(k <= n for k in known) >= len(pairs)]
    half = candidates[0] if candidates else -1
    margin = sum(margins[pair] for pair in pairs) / len(pairs)
    return len(pairs), len(known), half, sum(lost[pair] for pair in pairs), margin


def slow_mirrors(
    p: int, train: Sequence[bool], test: Sequence[bool], right: Sequence[bool]
) -> dict[str, int | Fraction | None]:
    """The counts of mirrored test pairs and what they explain; None where a denominator is 0."""
    counts = dict.fromkeys([(m, r) for m in (False, True) for r in (False, True)], 0)
    for a in range(p):
        for b in range(p):
            if test[a * p + b]:
                counts[train[b * p + a], right[a * p + b]] += 1
    found = counts[True, True] + counts[False, True]
    mirrored = counts[True, True] + counts[True, False]
    others = counts[False, True] + counts[False, False]
    share = Fraction(counts[True, True], found) if found else None
    accuracy = Fraction(counts[False, True], others) if others else None
    explained = None
    if share is not None and accuracy is not None:
        explained = share - accuracy * Fraction(mirrored, found)
    return {
        "right": found,
        "right_mirrored": counts[True, True],
        "share": share,
        "accuracy_mirrored": Fraction(counts[True, True], mirrored) if mirrored else None,
        "accuracy_others": accuracy,
        "explained": explained,
    }
