"""How much memory an analysis takes, known before it starts: upper bounds, in bytes.

Of modulus p (or order n <= p), each term counts the arrays that live at the same time at most,
their temporaries included, in doubles of 8 bytes unless said otherwise. Nothing here grows with
p^3 but the train rows, which may be held or not.
"""

from collections.abc import Collection, Mapping

from grokprobe.analysis.outputs import ROWS
from grokprobe.analysis.readings import Reading
from grokprobe.analysis.representations.ridge import FOLDS

SINGLE, DOUBLE = 4, 8
SMALL = 2**20  # whatever is not an array of p^2 numbers or more


def block_bytes(p: int, widths: Mapping[str, int], rows: int, ahead: int) -> int:
    """Outputs of `rows` pairs at a time, `ahead` blocks of them made before they are read.

    The block that is read, the one before while it has begun an a, and that a put together.
    """
    return SINGLE * sum(widths.values()) * ((2 + ahead) * rows + p)


def reading_bytes(
    p: int,
    readings: Collection[Reading],
    widths: Mapping[str, int],
    keys: int = 0,
    train_pairs: int = 0,
    rows: int = ROWS,
    ahead: int = 0,
) -> int:
    """All that reading a checkpoint (probe.py) takes, and measures made of these readings.

    `widths` are those of the outputs by pair; `keys` how many key frequencies there are;
    `train_pairs` matters where their rows are held. Not counted is what inference itself takes.
    """
    square, block = p * p, max(rows, p) * p  # some whole a
    of_block = of_keys = 0  # not at the same time: keys come when all has been read
    total = SMALL + block_bytes(p, widths, rows, ahead)
    total += 10 * DOUBLE * square  # pairs, answers, masks
    if "figures" in readings:
        # Loss, hit and collapse of each pair, and those of a part of the split; of one block the
        # known rows and train rows in float32, and exponentials in either precision.
        total += 4 * DOUBLE * square
        of_block += (2 * DOUBLE + 3 * SINGLE) * block
    if "answers" in readings:
        # Prediction and margin of each pair; of one block the known rows.
        total += DOUBLE * square
        of_block += (SINGLE + DOUBLE) * block
    if "sums" in readings:
        total += 12 * DOUBLE * square  # two sums, the basis, and one a centred and squared
    if "neurons" in readings:
        total += (12 * p * widths.get("neurons", 0) + 4 * square) * DOUBLE
    if "gram" in readings:
        # Products of the columns, those of a block, centred, and what their eigenvalues take.
        total += 6 * DOUBLE * widths.get("neurons", 0) ** 2
        total += 2 * DOUBLE * max(rows, p) * widths.get("neurons", 0)
    if keys:
        of_keys = (14 * square + 8 * keys * p) * DOUBLE
    if "train_rows" in readings:
        total += train_rows_bytes(p, train_pairs)
    return total + max(of_block, of_keys)


def train_rows_bytes(p: int, train_pairs: int) -> int:
    """The logits of the train pairs, held in float32."""
    return SINGLE * p * train_pairs


def readout_bytes(p: int, width: int, rows: int = ROWS, ahead: int = 0) -> int:
    """All that a linear readout of features of this width takes (representations/ridge.py).

    Sums of each fold and of all, one fit at a time, the weights of each; the rows of one fold in
    float64, and their scores.
    """
    square, table = width * width, p * width
    sums = (FOLDS + 6) * square + (2 * FOLDS + 6) * table
    total = SMALL + block_bytes(p, {"features": width}, rows, ahead)
    return total + DOUBLE * (sums + rows * (3 * width + p) + 10 * p * p)
