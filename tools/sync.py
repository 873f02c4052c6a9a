"""grokprobe/client/synchronous from grokprobe/client/asynchronous: `python -m tools.sync`.

In the manner of unasync: words are replaced, and the formatter looks over the rest.
"""

import re
from pathlib import Path

from tools.records import formatted

CLIENT = Path(__file__).parents[1] / "grokprobe/client"
WORDS = {
    "async def": "def",
    "async with": "with",
    "async for": "for",
    "asynchronous": "synchronous",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncRun": "Run",
    "AsyncCheckpoint": "Checkpoint",
    "AsyncGroup": "Group",
    "AsyncRetrying": "Retrying",
    "AsyncHTTPTransport": "HTTPTransport",
    "AsyncIterator": "Iterator",
    "asynccontextmanager": "contextmanager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aread": "read",
    "aiter_raw": "iter_raw",
    "aiter_lines": "iter_lines",
    "sleep_async": "sleep",
    "here_async": "here",
}
PATTERN = re.compile(r"\bawait |\b(" + "|".join(map(re.escape, WORDS)) + r")\b")


def twin(text: str) -> str:
    """The module that waits where the other awaits."""
    return formatted(PATTERN.sub(lambda found: WORDS.get(found[0], ""), text))


def modules() -> dict[Path, str]:
    """What each module of the twin has to be."""
    return {
        CLIENT / "synchronous" / path.name: twin(path.read_text())
        for path in sorted((CLIENT / "asynchronous").glob("*.py"))
    }


if __name__ == "__main__":
    for path, text in modules().items():
        path.write_text(text)
