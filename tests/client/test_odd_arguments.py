"""What people give a client: rows of numpy, keys from files, addresses of pages, and mistakes."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grokprobe import Client
from grokprobe.client.errors import ClientError, InvalidRequest, NotHere
from grokprobe.client.local import started
from grokprobe.client.place import address
from tests.support.served import Served
from tests.support.trained import Trained

# pairs, or what is meant by them, are given as whatever holds two numbers in a row
ROWS: list[Any] = [
    [(1, 2)],
    ([1, 2],),
    np.array([[1, 2]]),
    np.array([[1.0, 2.0]]),
    [(np.int64(1), np.uint8(2))],
    pd.DataFrame({"a": [1], "b": [2]}).to_numpy(),
]
NO_PAIRS: list[Any] = [
    *((1, 2), 5, "12", ["12"], [(1.5, 2)], [(np.float32(0.5), 2)], [("1", "2")], [(None, 1)]),
    *([(float("nan"), 1)], [(float("inf"), 1)], pd.DataFrame({"a": [1], "b": [2]})),
]


@pytest.fixture
def reader(served: Served) -> Iterator[Client]:
    """A client of the service over the run `tiny`."""
    with Client(served.url, cache=False) as found:
        yield found


@pytest.mark.parametrize("pairs", ROWS, ids=lambda pairs: type(pairs).__name__)
def test_rows_of_any_kind(reader: Client, pairs: Any) -> None:
    """They are the same question."""
    [found] = reader.run("tiny").at(-1).predict(pairs).predictions
    assert (found.a, found.b) == (1, 2)


@pytest.mark.parametrize("pairs", NO_PAIRS, ids=repr)
def test_no_pair_is_rounded_or_guessed(reader: Client, pairs: Any) -> None:
    """What is no pair of whole numbers is named."""
    with pytest.raises(ClientError, match="expected pairs"):
        reader.run("tiny").at(-1).predict(pairs)


def test_numbers_of_numpy(reader: Client) -> None:
    """In a query and in a body, alone and in rows; ranges and sets too."""
    last = reader.run("tiny").at(-1)
    for keys in (np.array([1, 2]), range(1, 3), {1, 2}, [np.int64(1), np.int64(2)], "1,2"):
        found = last.measures(keys=keys).keys  # type: ignore[arg-type]
        assert found
        assert found.frequencies == [1, 2]
    few = {"controls": np.int64(2), "seed": 0}
    plain = last.intervene("logits", remove=[1], controls=2, seed=0)
    assert last.intervene("logits", remove=np.array([1]), **few) == plain  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", ".", "..", None, 5])
def test_what_no_run_is_called(reader: Client, name: Any) -> None:
    """It would be the address of something else."""
    with pytest.raises(ClientError, match="expected the name of a run"):
        reader.run(name)
    with pytest.raises(ClientError, match="expected the name of a step"):
        reader.run("tiny").at("").about()


@pytest.mark.parametrize("between", ["@", "/"])
def test_checkpoints_in_words(reader: Client, between: str) -> None:
    """As the commands write them, or as an address does."""
    found = reader.compare(f"tiny{between}first", f"tiny{between}-1")
    assert (found.a.step, found.b.step) == (0, reader.run("tiny").at("latest").about().step)


@pytest.mark.parametrize("given", ["tiny", "", 5])
def test_what_is_no_checkpoint(reader: Client, given: Any) -> None:
    """A run alone, among others."""
    with pytest.raises(ClientError, match="expected RUN@STEP"):
        reader.compare("tiny@first", given)


def test_a_closed_client_says_so(served: Served) -> None:
    """As after the block that it was opened in."""
    with Client(served.url, cache=False) as client:
        run = client.run("tiny")
    with pytest.raises(ClientError, match="is closed"):
        run.trajectory()


def test_a_folder_is_no_file(reader: Client, tmp_path: Path) -> None:
    """Nothing is written, within it or beside it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError):
        reader.run("tiny").at(-1).model(folder)
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_key_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last line's end is none of it; what a header cannot hold is refused, not tried again."""
    monkeypatch.delenv("GROKPROBE_CLIENT_URL", raising=False)
    assert address(None, "secret\n")[1] == "secret"
    assert address(None, " \n")[1] is None
    for key in ("a\nb", "a\0", "schlüssel", "a\rb"):
        with pytest.raises(ClientError, match="printable ASCII"):
            Client("http://127.0.0.1:9", key=key)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (" http://h:1 \n", "http://h:1"),
        ("http://h:1/#/runs/quickstart", "http://h:1"),
        ("https://h/grok/v1/", "https://h/grok"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_addresses(given: str, found: str) -> None:
    """Also of a page of the explorer."""
    assert address(given, None)[0] == found


@pytest.mark.parametrize(
    "url",
    [
        *("h:1", "ftp://h", "http://", "http://[::1", "http://h:99999", "http://h?x", "http://h h"),
        *("http://h\0", "http://h/\x7f", "http://\ud800", 5, b"http://h", ["http://h"]),
    ],
)
def test_what_is_no_address(url: Any) -> None:
    """It is shown, with one that is."""
    with pytest.raises(ClientError, match=re.escape(f"got {url!r}")):
        Client(url)


@pytest.mark.parametrize("name", ["x" * 100_000, "é" * 30_000], ids=len)
def test_a_name_that_no_address_has_room_for(reader: Client, name: str) -> None:
    """Of a run, of a step, in a query; its beginning is shown."""
    run = reader.run("tiny")
    asked: list[Callable[[], Any]] = [
        *(lambda: reader.run(name), lambda: run.at(name).about()),
        *(lambda: run.at(-1).weight(name), lambda: run.trajectory([name])),
        lambda: reader.group(name).emergence(),
    ]
    for ask in asked:
        with pytest.raises(ClientError, match="too long") as told:
            ask()
        assert len(str(told.value)) < 300


@pytest.mark.parametrize("after", [5, "a\nb", "é", b"1-0", ["1-0"]])
def test_what_is_no_event(reader: Client, after: Any) -> None:
    """Neither sent nor tried again."""
    with pytest.raises(ClientError, match="expected the id of an event"):
        list(reader.run("tiny").events(after=after))


@pytest.mark.parametrize("include", [5, "logits", [5], True, {"logits": 1}, [["logits"]]])
def test_what_nothing_includes(reader: Client, include: Any) -> None:
    """In the service's words; rows of any kind are lists."""
    last = reader.run("tiny").at(-1)
    with pytest.raises(InvalidRequest, match="include"):
        last.predict([(1, 2)], include=include)
    expected = last.predict([(1, 2)], include=["logits"])
    for rows in (("logits",), {"logits"}, np.array(["logits"]), iter(["logits"])):
        assert last.predict([(1, 2)], include=rows) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("top", [object(), 1j, "\ud800", [object()], np.array([object()])])
def test_what_cannot_be_sent(reader: Client, top: Any) -> None:
    """In a body, and in a query what no text holds."""
    with pytest.raises(ClientError, match="expected text, numbers and rows"):
        reader.run("tiny").at(-1).predict([(1, 2)], top=top)
    with pytest.raises(ClientError, match="measures: expected text"):
        reader.run("tiny").trajectory(["\ud800"])


def test_what_has_two_forms_is_read_as_what_was_asked(reader: Client) -> None:
    """The sums or the pairs, whichever way it is said; irreps of a cyclic group are refused."""
    run: Any = reader.run("tiny")
    for by in (None, "pair", ["pair"], np.array(["pair"])):
        assert run.pairs(by) == run.pairs()
    for by in ("difference", ["difference"], np.str_("difference")):
        assert run.pairs(by).by == "difference"
    wrong: list[Any] = [5, "", b"pair", ["pair", "answer"]]
    for by in wrong:
        with pytest.raises(InvalidRequest, match="by"):
            run.pairs(by)
    with pytest.raises(ClientError, match="the group is cyclic: ask for `spectrum`"):
        run.at(-1).irreps(null=2)


OPTIONS: list[tuple[str, Any]] = [
    *(("cache", value) for value in (5, b"folder", ["folder"])),
    *(("cache_bytes", value) for value in ("5", -1, float("nan"))),
    *(("timeout_s", value) for value in (None, "5", -1, 1e10)),
    *(("wait_s", value) for value in (None, "5", -1, float("nan"))),
    *(("key", value) for value in (5, b"secret")),
]


@pytest.mark.parametrize(("name", "value"), OPTIONS)
def test_what_is_no_option(name: str, value: Any) -> None:
    """Told when the client is made, not at the first fault."""
    with pytest.raises(ClientError, match=f"{name}: expected|a key holds"):
        Client("http://127.0.0.1:9", **{name: value})


def test_no_cache(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is none, as False is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Client(served.url, cache=None) as client:
        assert client.run("tiny").at(0).spectrum().step == 0
    assert list(tmp_path.iterdir()) == []


def test_an_option_of_a_client_that_would_serve(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service that was started for it is stopped."""
    child = started(trained.settings.home)
    monkeypatch.setattr("grokprobe.client.synchronous.client.started", lambda _: child)
    with pytest.raises(ClientError, match="cache: expected"):
        Client.local(trained.settings.home, cache=5)
    assert child.process
    assert child.process.poll() is not None


def test_what_is_no_place() -> None:
    """Neither a folder nor a bucket."""
    with pytest.raises(NotHere, match="expected a folder or a bucket, got 5"):
        Client.local(5)  # type: ignore[arg-type]
