"""What the tools are asked with, in the words that an assistant reads."""

from typing import Annotated, Literal

from pydantic import Field

RunName = Annotated[str, Field(description="name of a run, as `runs` lists it", max_length=100)]
Label = Annotated[str, Field(max_length=100)]
Step = Annotated[
    Label | int,
    Field(description="a published step, or first, latest, memorised, generalised"),
]
Address = Annotated[
    str,
    Field(
        description="RUN/STEP, such as quickstart/generalised; the latest without STEP",
        max_length=200,
    ),
]
Pair = Annotated[list[int], Field(min_length=2, max_length=2)]
Rows = Literal["embedding", "unembedding", "neuron_logit_map", "logits"]
Chart = Literal["circle", "spectrum", "predictions", "neurons", "trajectory", "spectra", "pairs"]
METHODS = {"circle": "embedding"}
OF_A_RUN = ("trajectory", "spectra", "pairs")

Operation = Annotated[Label | None, Field(description="such as add, mul or x2+y2")]
Modulus = Annotated[int | None, Field(description="p: residues are 0..p-1")]
Status = Literal["running", "complete", "stopped", "failed"]
Group = Annotated[Label | None, Field(description="runs studied together")]
Part = Annotated[str, Field(description="a part of the name")]
After = Annotated[str, Field(description="the last name seen, to read on")]
Names = Annotated[list[Label] | None, Field(description="the main ones, if left out")]
Pairs = Annotated[
    list[Pair], Field(description="[a, b], each 0..p-1", min_length=1, max_length=100)
]
Draws = Annotated[int, Field(ge=0, le=1000, description="draws of a null; 0: none")]
