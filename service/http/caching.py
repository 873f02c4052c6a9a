"""How long an answer may be kept, and how a client asks whether it still stands (RFC 9110, 9111).

What a numbered checkpoint alone determines never changes, nor does a run's split. What rests on
the run's key frequencies changes until the run has ended, and a label or a list whenever something
is published: those are asked for again each time, by an ETag that covers all that the answer is
made of. Tags are strong: they cover what the last digits and the encoding depend on, so that equal
tags have equal bytes. Those of groups and of lists of runs are weak: nobody reads these by parts.
Every tag covers the run's identity too, since a name that is freed may be used again; a file's is
its digest. Only what object storage was asked about is kept: while it is away what comes from the
index is not.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from importlib.metadata import version

from grokprobe.analysis import ANALYSIS_VERSION
from service.formats.registry import Format
from service.http.resources import RestsOn
from service.http.target import Target

ONE_YEAR = "max-age=31536000, immutable"


def etag(
    targets: Sequence[Target],
    rests_on: RestsOn,
    query: Iterable[tuple[str, str]],
    chosen: Format,
    made_by: str,
) -> str:
    """The ETag of an answer about all of these, from records alone: no model is loaded for it.

    `made_by` is the runtime's arithmetic, and what draws pictures.
    """
    if rests_on == "file":
        return f'"{targets[0].checkpoint.model.sha256}"'
    parts = [
        str(ANALYSIS_VERSION),
        made_by,
        *(target.view.identity for target in targets),
        targets[0].path,
        repr(sorted(query)),
        chosen.media_type,
        *(fact for target in targets for fact in _stands_on(target, rests_on)),
    ]
    return strong_tag("\0".join(parts).encode())


def strong_tag(content: bytes) -> str:
    """A strong ETag of what determines an answer's bytes."""
    return f'"{blake2b(content, digest_size=16).hexdigest()}"'


def weak_tag(content: bytes) -> str:
    """A weak ETag, for what is never read by parts."""
    return f"W/{strong_tag(content)}"


def _stands_on(target: Target, rests_on: RestsOn) -> Iterable[str]:
    if rests_on == "split":
        return ()  # it is recorded in what the run is known by
    if rests_on == "card":
        return (target.view.digest, version("grokprobe"))
    if target.step is None or rests_on == "run":
        return (target.view.digest,)
    checkpoint = target.view.manifest_digest(target.step)
    return (checkpoint, target.view.key_digest) if rests_on == "keys" else (checkpoint,)


def never_changes(target: Target, rests_on: RestsOn) -> bool:
    """Whether the address has this answer for ever, so that it can be read by parts.

    No step, label or key of a run that has ended moves any more.
    """
    if target.view.completion is not None:
        return True
    numbered = target.step is not None and not target.label
    return rests_on in ("file", "split") or (rests_on == "checkpoint" and numbered)


def cache_control(targets: Sequence[Target], rests_on: RestsOn, authorised: bool) -> str:
    """The Cache-Control header; shared caches keep nothing that was given for a key."""
    if any(_is_asked_again(target, rests_on) for target in targets):
        return "no-cache"
    return f"{'private' if authorised else 'public'}, {ONE_YEAR}"


def _is_asked_again(target: Target, rests_on: RestsOn) -> bool:
    if rests_on == "split":  # read of object storage, compared with the run's record there
        return False
    grows = rests_on == "keys" or target.step is None
    if target.label or rests_on in ("run", "card") or (grows and target.view.provisional):
        return True
    return not target.proven


def named(if_none_match: str, tag: str) -> str | None:
    """This ETag as a client's If-None-Match names it, strong or weak; `*` names all; else None."""
    known = [given.strip() for given in if_none_match.split(",")]
    if known == ["*"]:
        return tag
    is_same = (given for given in known if given.removeprefix("W/") == tag.removeprefix("W/"))
    found = next(is_same, None)
    return tag if found and tag.startswith("W/") else found


def very_same(if_match: str, tag: str) -> bool:
    """Whether a client's If-Match names this ETag, by the strong comparison; `*` names all."""
    known = [given.strip() for given in if_match.split(",")]
    return tag in known or known == ["*"]
