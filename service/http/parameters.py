"""Path and query parameters that several routes take."""

from typing import Annotated, Literal

from litestar.params import PathParameter, QueryParameter

# In the order in which paths have them; a target is named by them where no handler takes them.
PATH = {
    "run": "The run's name.",
    "step": "A step, or `first`, `latest`, `memorised`, `generalised`.",
}
RunPath = Annotated[str, PathParameter(description=PATH["run"])]
StepPath = Annotated[str, PathParameter(description=PATH["step"])]
PAGE = 100  # rows, unless asked otherwise
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows on one page.")]
FromStep = Annotated[int | None, QueryParameter(ge=0, description="The first step to list.")]
ToStep = Annotated[int | None, QueryParameter(ge=0, description="The last step to list.")]
Permutations = Annotated[
    int,
    QueryParameter(ge=0, le=10_000, description="Draws of the null; 0 for none."),
]
SeedQuery = Annotated[
    int, QueryParameter(ge=0, le=2**53 - 1, description="Seed of the null's draws.")
]
# `_b` is operand b's, where it has a table of its own; effective ones are of MLPs.
Vectors = Literal[
    "embedding", "embedding_b", "effective_embedding", "effective_embedding_b", "unembedding"
]
OfVectors = Annotated[
    Vectors,
    QueryParameter(description="Which vectors of the residues."),
]
PlaneFrequency = Annotated[
    int | None,
    QueryParameter(ge=1, description="Default: the strongest one that has a plane."),
]
