"""What a tool says where it has no answer: what was wrong, and what to ask instead."""

import difflib
from collections.abc import Collection

from pydantic import ValidationError

from grokprobe.agents.words import short
from grokprobe.client.errors import Answered, ClientError, Unreachable

ADVICE = {
    "urn:grokprobe:label-not-reached": "ask for `latest`, or `emergence` for what was reached",
    "urn:grokprobe:step-not-found": "ask for one of these, or for `latest`",
}
SHOWN = 3  # of the arguments that are wrong
WORDS = 700  # bytes of the service's own, in which it may list all that there is


def refusal(error: ClientError) -> str:
    """In the service's words, with what to do."""
    if isinstance(error, Answered):
        advice = ADVICE.get(error.type)
        words = f"{error.detail}{error.what_to_do}"
        words = short(words, WORDS) if error.status in (400, 404) else words
        return f"{error.title} ({error.status}): {words}{f'; {advice}' if advice else ''}"
    after = "; ask again once it runs" if isinstance(error, Unreachable) else ""
    return f"{error}{after}"


def no_picture(error: ClientError, where: str) -> str:
    """Why, and how the chart is had otherwise."""
    advice = "Where a service draws none, `pip install 'grokprobe[pictures]'` beside it helps"
    return f"{refusal(error)}. {advice}; ?format=vega-lite is the chart as data, of {where}"


def unknown(what: str, name: str, known: Collection[str], where: str) -> str:
    """A name that is not there: which are near it, or where they are listed."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"ask for {' or '.join(near)}" if near else where
    return f"there is no {what} {short(name, 100)!r}; {hint}"


def wrong_arguments(error: ValidationError) -> str:
    """Which arguments, and what each should be."""
    found = error.errors(include_url=False, include_context=False)
    said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:SHOWN]]
    rest = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(said) + rest
