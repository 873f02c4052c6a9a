"""A run's card, over HTTP: as JSON and as Markdown."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from service.formats.markdown import escaped
from tests.service.test_api import RUN, get


def test_a_card_has_what_other_resources_say(client: httpx.Client) -> None:
    """Task and configuration are the run's; brackets, lags, phases and nulls are emergence's."""
    card, run, found = (get(client, f"{RUN}{part}") for part in ("/card", "", "/emergence"))
    for name in ("task", "architecture", "optimiser", "seed", "status", "checkpoint_count"):
        assert card[name] == run[name]
    for name in ("memorised", "generalised", "series", "lags", "phases", "keys", "nulls"):
        assert card[name] == found[name]


def test_digests_are_those_of_the_files(client: httpx.Client) -> None:
    """A label's checkpoint has the digest that is the ETag of its model.onnx."""
    for label, found in get(client, f"{RUN}/card")["digests"]["checkpoints"].items():
        file = client.head(f"{RUN}/checkpoints/{label}/model.onnx")
        assert file.headers["etag"] == f'"{found["sha256"]}"'


@pytest.mark.parametrize(
    "asked", [{"params": {"format": "markdown"}}, {"headers": {"Accept": "text/markdown"}}]
)
def test_markdown_says_the_same(client: httpx.Client, asked: Mapping[str, Any]) -> None:
    """By `format` or Accept; its digest and how to cite it are the record's."""
    card, answer = get(client, f"{RUN}/card"), client.get(f"{RUN}/card", **asked)
    assert answer.headers["content-type"].startswith("text/markdown")
    assert answer.text.startswith(f"# Run {escaped(card['run'])}\n")
    assert card["digests"]["card"] in answer.text
    again = client.get(
        f"{RUN}/card",
        headers={"If-None-Match": answer.headers["etag"], **asked.get("headers", {})},
        params=asked.get("params"),
    )
    assert again.status_code == 304


def test_markdown_has_no_empty_line_of_a_list(client: httpx.Client) -> None:
    """A fact without a word is left out, such as the reason of an end that is as it should be."""
    lines = client.get(f"{RUN}/card", params={"format": "markdown"}).text.splitlines()
    assert [line for line in lines if line.startswith("- ") and line.rstrip().endswith(":")] == []


def test_what_is_null_is_explained(client: httpx.Client) -> None:
    """A command or a citation that is not there has its reason in `absent`."""
    card = get(client, f"{RUN}/card")
    for name in ("command", "citation"):
        assert (card[name] is None) == (name in card["absent"])


@pytest.mark.parametrize(
    "text", ["<img src=x>", "[a](http://b)", "a\n# b", "`x`", "| a |", "![a](b)"]
)
def test_texts_of_others_are_no_markdown(text: str) -> None:
    """One line, in which each character that could mean something is escaped."""
    found = escaped(text)
    assert "\n" not in found
    assert not any(f" {mark}" in f" {found}" for mark in ("<", "[", "#", "`", "|", "!"))


def test_a_run_that_has_ended_is_cited_by_its_digest(client: httpx.Client) -> None:
    """The run and its numbered checkpoints link to the card of that digest; labels do not."""
    digest = get(client, f"{RUN}/card")["digests"]["card"]
    step = get(client, RUN)["latest_step"]
    for path in (RUN, f"{RUN}/checkpoints/{step}"):
        cited = client.get(path).links["cite-as"]["url"]
        assert cited.endswith(f"{RUN}/card?digest=sha256:{digest}")
        assert client.get(cited).json()["digests"]["card"] == digest
    assert "cite-as" not in client.get(f"{RUN}/checkpoints/latest").links


def test_another_run_of_the_name_is_not_what_was_cited(client: httpx.Client) -> None:
    """The card of another digest is 404, with the digest that there is."""
    answer = client.get(f"{RUN}/card", params={"digest": f"sha256:{'0' * 64}"})
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:grokprobe:digest-differs"
    assert get(client, f"{RUN}/card")["digests"]["card"] in answer.json()["detail"]
