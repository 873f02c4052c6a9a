"""Two checkpoints read beside each other over all pairs, some rows at a time, and never held whole.

Upper bounds of the memory that this takes are here too, in doubles of 8 bytes unless said otherwise
(needs.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from grokprobe.analysis.comparing.answers import AnswerComparison
from grokprobe.analysis.comparing.representations import JointMoments, Similarity
from grokprobe.analysis.needs import DOUBLE, SMALL, block_bytes
from grokprobe.analysis.outputs import Outputs, PairOutputs
from grokprobe.task import Residues


class BothRead(NamedTuple):
    """What two checkpoints answer, and the similarity of their neurons; None where one has none."""

    answers: AnswerComparison
    neurons: Similarity | None


def read_both(a: PairOutputs, b: PairOutputs, answers: Residues) -> BothRead:
    """Read the logits of both, and the neurons if both have them, each output computed once."""
    found, moments = AnswerComparison(answers), JointMoments()
    names = ["logits", *(["neurons"] if "neurons" in a.names and "neurons" in b.names else [])]
    first = 0
    for of_a, of_b in beside(a.blocks(names), b.blocks(names)):
        found.take(first, of_a[0], of_b[0])
        if len(names) > 1:
            moments.take(of_a[1], of_b[1])
        first += len(of_a[0])
    return BothRead(found, moments.similarity)


Blocks = Iterator[Sequence[Outputs]]


def beside(a: Blocks, b: Blocks) -> Iterator[tuple[Sequence[Outputs], Sequence[Outputs]]]:
    """The blocks of two that have as many rows, cut where those of either end."""
    of_a, of_b = next(a, None), next(b, None)
    while of_a is not None and of_b is not None:
        count = min(len(of_a[0]), len(of_b[0]))
        yield [one[:count] for one in of_a], [one[:count] for one in of_b]
        of_a, of_b = _rest(of_a, count, a), _rest(of_b, count, b)


def _rest(block: Sequence[Outputs], count: int, following: Blocks) -> Sequence[Outputs] | None:
    """What a block has beyond some rows, or the next one."""
    return [one[count:] for one in block] if len(block[0]) > count else next(following, None)


def both_bytes(
    p: int, widths: tuple[Mapping[str, int], Mapping[str, int]], rows: int, ahead: int
) -> int:
    """All that `read_both` takes, of outputs of these widths; what inference takes is apart."""
    square, block = p * p, rows * p
    total = SMALL + sum(block_bytes(p, one, rows, ahead) for one in widths)
    # Pairs, answers, masks; loss and divergence of both, hits; those of one part.
    total += (10 + 6 + 6) * DOUBLE * square
    # Of one block: each side's logits below the largest, their exponentials, and the difference.
    total += 7 * DOUBLE * block
    # Of the neurons: rows as they came and centred; three products, one being added, one centred.
    neurons = [one.get("neurons", 0) for one in widths]
    most = max(neurons) ** 2
    total += (2 * rows * sum(neurons) + 3 * (sum(n * n for n in neurons) + most)) * DOUBLE
    return total
