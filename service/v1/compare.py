"""Two checkpoints side by side (docs/maths.md, "Comparing two checkpoints")."""

from typing import Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from grokprobe.analysis.basis import basis_of
from grokprobe.analysis.comparing.answers import PartComparison, Split
from grokprobe.analysis.comparing.planes import KeyComparison, PlaneOverlap
from grokprobe.analysis.comparing.representations import Similarity
from grokprobe.analysis.comparing.weights import AllWeights, WeightComparison
from grokprobe.errors import InvalidInput
from grokprobe.store.records import task_of
from grokprobe.task import Task
from service.charts import drawing
from service.charts.comparison import comparison
from service.context import FromContext
from service.formats.pictures import PICTURES
from service.formats.registry import TABLE
from service.formats.tables import Table, about, columns_of
from service.http.openapi import OF_A_CHECKPOINT, offering
from service.http.preconditions import SettledRequest
from service.http.target import Opened, open_checkpoint
from service.v1.basis import BasisAnswer, describe_basis
from service.v1.comparing import Comparison, Identical, compare_opened

Change = Literal["right_to_wrong", "wrong_to_right"]
RIGHT_TO_WRONG: Change = "right_to_wrong"
WRONG_TO_RIGHT: Change = "wrong_to_right"


class ComparedCheckpoint(msgspec.Struct):
    """One of the two; `sha256` is its file's."""

    run: str
    step: int
    sha256: str


class ChangedPairs(msgspec.Struct):
    """The rows a*p + b of pairs that one answers rightly and the other does not."""

    right_to_wrong: list[int]
    wrong_to_right: list[int]


class ChangedRow(msgspec.Struct):
    """A pair that one answers rightly and the other does not, and its part in either split."""

    a: int
    b: int
    answer: int
    change: Change
    split_a: Split | None
    split_b: Split | None


class CompareAnswer(msgspec.Struct):
    """All that differs; `absent` says why a part is null, by its name."""

    a: ComparedCheckpoint
    b: ComparedCheckpoint
    identical: Identical | None
    basis: BasisAnswer
    parts: list[PartComparison]
    changed: ChangedPairs
    weights: list[WeightComparison] | None
    all_weights: AllWeights | None
    embedding: Similarity | None
    neurons: Similarity | None
    planes: PlaneOverlap | None
    keys: list[KeyComparison] | None
    absent: dict[str, str]


NAMED_BY = ("a", "b")
ROWS: dict[str, type[msgspec.Struct]] = {
    "parts": PartComparison,
    "weights": WeightComparison,
    "keys": KeyComparison,
    "pairs": ChangedRow,
}
CheckpointQuery = Annotated[
    str, QueryParameter(description="A checkpoint as RUN/STEP, or RUN/latest and its like.")
]
TableQuery = Annotated[
    Literal["parts", "weights", "keys", "pairs"],
    QueryParameter(description="Which rows a table has; `pairs` are those of `changed`."),
]


@get(
    "/compare",
    summary="Two checkpoints side by side",
    tags=["checkpoints"],
    **offering((*TABLE, *PICTURES), OF_A_CHECKPOINT, "checkpoint", named_by=NAMED_BY),
)
async def compare(
    request: SettledRequest,
    context: FromContext,
    a: CheckpointQuery,
    b: CheckpointQuery,
    table: TableQuery = "parts",
) -> Response[CompareAnswer]:
    """What differs between two checkpoints of one task: a run at two steps, or two runs.

    Whether they are identical; what they answer, by part of the splits; weights; linear CKA of
    embeddings and neurons; planes and key frequencies of the embeddings.
    """
    target_a, target_b = request.targets
    tasks = [task_of(target.view.manifest) for target in request.targets]
    if tasks[0] != tasks[1]:
        told = [f"{x!r} has {_told(task)}" for x, task in zip((a, b), tasks, strict=True)]
        reason = "only checkpoints of one task can be compared"
        raise InvalidInput("b", f"{told[0]}, {told[1]}: {reason}")
    with context.inference.permit():
        both = await open_checkpoint(context, target_a), await open_checkpoint(context, target_b)
        found = await compare_opened(context, *both)
    answer = _answer(both, found)
    rows = getattr(answer, table, None) or []
    if table == "pairs":
        rows = await context.inference.apart(lambda: _pairs(both, found))
    facts = about(answer, "changed" if table == "pairs" else table)
    of_rows = Table(columns_of(ROWS[table]), rows, facts)
    rules = _rules(both) if found.keys is not None else []
    return await drawing.respond(context, request, answer, of_rows, chart=comparison, caption=rules)


def _rules(both: tuple[Opened, Opened]) -> list[str]:
    """How the key frequencies of both were chosen, in words."""
    keys = [one.checkpoint.manifest.own_keys for one in both]
    rules = dict.fromkeys(found.rule for found in keys if found)
    return [line for rule in rules for line in drawing.by_rule(rule, provisional=False)]


def _told(task: Task) -> str:
    seed = f" of seed {task.operation_seed}" if task.operation == "random" else ""
    return f"the operation {task.operation}{seed} modulo {task.modulus}"


def _answer(both: tuple[Opened, Opened], found: Comparison) -> CompareAnswer:
    a, b = (
        ComparedCheckpoint(o.view.manifest.run, o.step, o.checkpoint.manifest.model.sha256)
        for o in both
    )
    return CompareAnswer(
        a=a,
        b=b,
        identical=found.identical,
        basis=describe_basis(basis_of(both[0].checkpoint.table.task)),
        parts=found.parts,
        changed=ChangedPairs(found.right_to_wrong, found.wrong_to_right),
        weights=found.weights,
        all_weights=found.all_weights,
        embedding=found.embedding,
        neurons=found.neurons,
        planes=found.planes,
        keys=found.keys,
        absent=found.absent,
    )


def _pairs(both: tuple[Opened, Opened], found: Comparison) -> list[ChangedRow]:
    """A row for each pair that changed, in canonical order."""
    tables = [opened.checkpoint.table for opened in both]
    p, truth = tables[0].task.modulus, tables[0].answers
    changes: dict[int, Change] = {
        **dict.fromkeys(found.right_to_wrong, RIGHT_TO_WRONG),
        **dict.fromkeys(found.wrong_to_right, WRONG_TO_RIGHT),
    }
    return [
        ChangedRow(*divmod(row, p), int(truth[row]), changes[row], *(t.parts[row] for t in tables))
        for row in sorted(changes)
    ]
