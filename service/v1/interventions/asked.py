"""What a request asks for, checked against the checkpoint: or what is wrong with it, and why."""

from dataclasses import dataclass

from msgspec import UNSET

from grokprobe.analysis.basis import Basis, basis_of, check_cyclic
from grokprobe.analysis.fourier import frequencies
from grokprobe.analysis.interventions.outcome import Design
from grokprobe.analysis.interventions.sets import Members
from grokprobe.errors import InvalidInput
from service.inference.checkpoints import Checkpoint
from service.v1.interventions.records import By, Directions, InterventionRequest, Of, Verb

FREQUENCIES = ("logits", "activations", "embedding")
# Which options are of which: elsewhere they would say nothing.
OPTIONS = {"directions": "logits", "by": "neurons", "match": "neurons", "layer": "heads"}
# What would be left without any frequency.
LEFT: dict[Of, str] = {
    "logits": "each class would have one logit for all pairs, which is chance",
    "activations": "every neuron would have its mean at all pairs; take neurons out by mean",
    "embedding": "every residue would have the same embedding, which is chance",
}
ONE = {"neurons": "neuron", "heads": "head"}
NEEDS: dict[Of, tuple[str, ...]] = {  # beside the logits
    "logits": (),
    "activations": ("neurons",),
    "embedding": ("embedding",),
    "neurons": ("neurons",),
    "heads": ("attention",),
}


@dataclass(frozen=True)
class Asked:
    """An intervention on a checkpoint."""

    of: Of
    verb: Verb
    pool: range
    members: Members
    basis: Basis | None  # of frequencies
    directions: Directions | None
    by: By | None
    matches: bool
    layer: int | None  # None: the last
    controls: int
    seed: int

    @property
    def design(self) -> Design:
        """The sets, but for the norms that some are to match."""
        keeps = self.verb == "keep"
        return Design(self.pool, self.members, keeps, self.controls, self.seed)

    @property
    def name(self) -> str:
        """Equal where the answers are, of one checkpoint."""
        facts = (self.of, self.verb, self.members, self.directions, self.by, self.matches)
        return f"intervention:{(*facts, self.layer, self.controls, self.seed)}"


def ask(given: InterventionRequest, checkpoint: Checkpoint) -> Asked:
    """An intervention that makes sense. Raises InvalidInput, OutputMissing."""
    for option, of in OPTIONS.items():
        if getattr(given, option) is not UNSET and given.of != of:
            raise InvalidInput(f"$.{option}", f"is of {of} alone, and this is of {given.of}")
    verb, members = _set(given)
    directions: Directions | None = (given.directions or "all") if given.of == "logits" else None
    basis = None
    if given.of in FREQUENCIES:
        basis = _basis(checkpoint, directions)
    checkpoint.check(["logits", *NEEDS[given.of]])
    if basis:
        pool = range(1, len(frequencies(basis.order)) + 1)
    else:  # neurons (pairs, d_mlp), attention (pairs, heads, tokens)
        pool = range(checkpoint.shapes[NEEDS[given.of][0]][1])
    _check_members(verb, members, pool, ONE.get(given.of, "frequency"))
    if basis:
        _check_rest(given.of, directions, verb, members, pool)
    return Asked(
        of=given.of,
        verb=verb,
        pool=pool,
        members=tuple(sorted(members)),
        basis=basis,
        directions=directions,
        by=(given.by or "zero") if given.of == "neurons" else None,
        matches=given.match is not UNSET,
        layer=None if given.layer is UNSET else given.layer,
        controls=given.controls,
        seed=given.seed,
    )


def _set(given: InterventionRequest) -> tuple[Verb, list[int]]:
    removed, kept = given.remove, given.keep
    if isinstance(removed, list) and not isinstance(kept, list):
        return "remove", removed
    if isinstance(kept, list) and not isinstance(removed, list):
        return "keep", kept
    raise InvalidInput("$", "give `remove` or `keep`, one of the two")


def _basis(checkpoint: Checkpoint, directions: Directions | None) -> Basis:
    """The basis of the frequencies. Raises InvalidInput where there are none."""
    basis = basis_of(checkpoint.table.task)
    check_cyclic(basis, "$.of", "; neurons and heads can be taken out")
    if directions == "answer" and basis.direction is None:
        message = "needs an operation whose answer is an element of a group; choose all"
        raise InvalidInput("$.directions", message)
    return basis


def _check_members(verb: Verb, members: list[int], pool: range, one: str) -> None:
    seen: set[int] = set()
    for place, member in enumerate(members):
        if member not in pool:
            message = f"{member} is not a {one} {pool[0]}..{pool[-1]}"
            raise InvalidInput(f"$.{verb}[{place}]", message)
        if member in seen:
            raise InvalidInput(f"$.{verb}[{place}]", f"{member} stands there twice")
        seen.add(member)


def _check_rest(
    of: Of, directions: Directions | None, verb: Verb, members: list[int], pool: range
) -> None:
    """Raise InvalidInput where every frequency would go."""
    if len(members) == (len(pool) if verb == "remove" else 0):
        left = LEFT[of]
        if directions == "answer" and verb == "remove":
            left = "along the answer's directions the mean alone would be left"
        message = f"takes out every frequency {pool[0]}..{pool[-1]}: {left}"
        raise InvalidInput(f"$.{verb}", message)
