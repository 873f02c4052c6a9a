"""`/llms.txt`: what the service is, for programs that read; its addresses lead somewhere.

That it needs no key stands in test_access.py, where it leads below a root in test_root_path.py.
"""

import re
from pathlib import Path

import httpx
import pytest

from grokprobe.cli.main import commands
from service.explorer import LLMS

FORM = r"# .+\n\n> .+\n\n(?!#).+\n(\n## .+\n\n((- \[.+\]\(\S+\): .+\n)+|(?!-).+\n))+"


def test_it_has_the_form_of_its_convention() -> None:
    """A title, a summary, words, then sections of links with what each is, or of words."""
    text = LLMS.read_text()
    assert re.fullmatch(FORM, text)
    assert len(re.findall(r"\]\(", text)) >= 12
    assert (
        set(re.findall(r"'grokprobe\[mcp\]' (\w+) --url", text)) == {"mcp"} <= {*commands.commands}
    )


def test_its_addresses_lead_somewhere(client: httpx.Client) -> None:
    """With the names of a run and of a step in their places."""
    answer = client.get("/llms.txt")
    assert answer.text == LLMS.read_text()
    for reference in re.findall(r"\]\((\S+)\)", answer.text):
        filled = reference.replace("RUN", "tiny").replace("STEP", "latest")
        assert client.get(answer.url.join(filled)).status_code == 200, reference


def test_it_is_known_by_its_etag(client: httpx.Client) -> None:
    """As the page is, and asked about as often."""
    answer = client.get("/llms.txt")
    assert answer.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": answer.headers["etag"]}
    again = client.get("/llms.txt", headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("page", ["docs/agents.md", "docs/api.md"])
def test_the_docs_name_it(page: str) -> None:
    """Where assistants are spoken of, and in the list of routes."""
    assert "`/llms.txt`" in (Path(__file__).parents[2] / page).read_text().replace("GET `", "`")
