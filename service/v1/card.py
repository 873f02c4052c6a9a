"""A run's card, as a record or as Markdown that is safe to paste."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from service.errors import DigestDiffers
from service.formats.markdown import escaped, markdown
from service.formats.registry import RECORD
from service.http.openapi import OF_A_RUN, offering
from service.http.preconditions import SettledRequest
from service.http.responses import respond
from service.runs.card import CardAnswer, answer_card

CitedDigest = Annotated[
    str | None,
    QueryParameter(description="`sha256:` and the digest of the run that is meant; else 404."),
]
HEADINGS = {  # field -> its section
    "task": "Task",
    "architecture": "Architecture",
    "optimiser": "Optimiser",
    "memorised": "Memorised",
    "generalised": "Generalised",
    "series": "Transitions",
    "lags": "Lags behind test accuracy",
    "phases": "Phases",
    "keys": "Key frequencies",
    "nulls": "Nulls",
    "digests": "Digests",
    "versions": "Versions",
    "absent": "What is not here",
}


def written(card: CardAnswer) -> str:
    """The card as Markdown: all texts escaped, what is to be copied indented as code."""
    facts = msgspec.to_builtins(card)
    blocks = [f"# Run {escaped(card.run)}", _lines({n: facts[n] for n in _plain(facts)})]
    blocks += [f"## {title}\n\n{_lines(facts[name])}" for name, title in HEADINGS.items()]
    if card.command:
        blocks.append(f"## To train it again\n\n    {card.command}")
    if card.citation:
        code = "\n".join(f"    {line}" for line in card.citation.bibtex.splitlines())
        blocks.append(f"## To cite it\n\n{escaped(card.citation.text)}\n\n{code}")
    return "\n\n".join(blocks) + "\n"


def _plain(facts: Mapping[str, Any]) -> Iterable[str]:
    return (n for n in facts if n not in {*HEADINGS, "run", "command", "citation"})


def _lines(found: Any) -> str:
    """A bullet for each fact, by its path."""
    return "\n".join(f"- {escaped(n)}: {_told(v)}" for n, v in _facts("", found)) or "none"


def _told(value: Any) -> str:
    """A value in words, those of a list too."""
    if isinstance(value, list | tuple):
        return rf"\[{', '.join(map(_told, value))}\]"
    return "not known" if value is None else escaped(value)


def _facts(path: str, found: Any) -> Iterable[tuple[str, Any]]:
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(found, Mapping):
        inside = found.items()
    elif isinstance(found, list) and any(isinstance(one, Mapping) for one in found):
        inside = ((one.get("statistic", i), one) for i, one in enumerate(found))
    for name, value in inside:
        yield from _facts(f"{path} {name}".strip(), value)
    if not inside and found not in ({}, [], ""):
        yield path or "it", found


@get(
    "/runs/{run:str}/card",
    summary="A run's card",
    tags=["runs"],
    **offering((*RECORD, markdown(written)), OF_A_RUN, "card"),
)
async def get_card(request: SettledRequest, digest: CitedDigest = None) -> Response[CardAnswer]:
    """Task, configuration, what happened when, nulls, digests, the command, how to cite it.

    It is made of records alone, as JSON or Markdown. A run that goes on has no citation yet.
    """
    view = request.target.view
    if digest not in (None, f"sha256:{view.digest}"):
        raise DigestDiffers(view.manifest.run, view.digest)
    return await respond(request.reply, answer_card(view))
