"""How long an answer may be kept, and how a client asks whether it still stands (RFC 9110, 9111).

What a numbered checkpoint alone determines never changes. What rests on the run's key frequencies
changes until the run has ended, and a label or a list whenever something is published: those are
asked for again each time, by an ETag that covers all that the answer is made of. The tags of
computed answers are weak: another encoding, or another machine, may differ in bytes.
"""

from collections.abc import Iterable
from hashlib import blake2b

from grokprobe.analysis import ANALYSIS_VERSION
from service.formats.registry import Format
from service.http.resources import RestsOn
from service.http.target import Target

ONE_YEAR = "max-age=31536000, immutable"


def etag(
    target: Target, rests_on: RestsOn, query: Iterable[tuple[str, str]], chosen: Format
) -> str:
    """The ETag of an answer, from records alone: no model is loaded for it."""
    if rests_on == "file":
        return f'"{target.checkpoint.model.sha256}"'
    parts = [
        str(ANALYSIS_VERSION),
        target.path,
        repr(sorted(query)),
        chosen.name,
        *_stands_on(target, rests_on),
    ]
    return weak_tag("\0".join(parts).encode())


def weak_tag(content: bytes) -> str:
    """A weak ETag of what determines an answer."""
    return f'W/"{blake2b(content, digest_size=16).hexdigest()}"'


def _stands_on(target: Target, rests_on: RestsOn) -> Iterable[str]:
    if target.step is None or rests_on == "run":
        return (target.view.digest,)
    checkpoint = target.checkpoint.model.sha256
    return (checkpoint, target.view.key_digest) if rests_on == "keys" else (checkpoint,)


def cache_control(target: Target, rests_on: RestsOn, authorised: bool) -> str:
    """The Cache-Control header; shared caches keep nothing that was given for a key."""
    grows = rests_on == "keys" or target.step is None
    if target.label or rests_on == "run" or (grows and target.view.provisional):
        return "no-cache"
    return f"{'private' if authorised else 'public'}, {ONE_YEAR}"


def same(if_none_match: str, tag: str) -> bool:
    """Whether a client's If-None-Match names this ETag, by the weak comparison; `*` names all."""
    known = [given.strip().removeprefix("W/") for given in if_none_match.split(",")]
    return tag.removeprefix("W/") in known or known == ["*"]
