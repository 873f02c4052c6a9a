"""`/llms.txt`: what the service is, for programs that read; its addresses lead somewhere."""

import re

from tests.support.served import Served


def test_its_addresses_lead_somewhere(served: Served) -> None:
    """Links, and paths with RUN and STEP filled in, below the folder of the file."""
    answer = served.client.get("/llms.txt")
    assert (answer.status_code, answer.headers["content-type"][:10]) == (200, "text/plain")
    assert answer.text.startswith("# grokprobe\n\n> ")
    plain = re.findall(r"^- (v1/\S+?):? ", answer.text, re.MULTILINE)
    paths = [*plain, *re.findall(r"\]\((\S+)\)", answer.text)]
    for path in paths:
        filled = path.rstrip(":").replace("RUN", "tiny").replace("STEP", "latest")
        assert served.client.get(f"/{filled.removeprefix('./')}").status_code == 200, path
    assert len(paths) >= 12


def test_it_is_known_by_its_etag(served: Served) -> None:
    """As the page is."""
    tag = served.client.get("/llms.txt").headers["etag"]
    again = served.client.get("/llms.txt", headers={"If-None-Match": tag})
    assert again.status_code == 304
