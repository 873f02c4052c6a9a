"""Where a client asks: what it is told, else what the environment says, else the demo."""

import pytest

from grokprobe.client.errors import ClientError
from grokprobe.client.place import address

DEMO = "http://127.0.0.1:8000"
URL, KEY = "https://probe.example/grok", "of that one"


@pytest.mark.parametrize(
    ("given", "environment", "found"),
    [
        ((None, None), {}, (DEMO, None)),
        ((None, "own"), {}, (DEMO, "own")),
        ((None, None), {"URL": URL, "KEY": KEY}, (URL, KEY)),
        ((None, "own"), {"URL": URL, "KEY": KEY}, (URL, "own")),
        ((None, None), {"KEY": KEY}, (DEMO, None)),
        (("http://other:1/", None), {"URL": URL, "KEY": KEY}, ("http://other:1", None)),
    ],
)
def test_the_environments_key_is_for_its_own_address(
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str | None, str | None],
    environment: dict[str, str],
    found: tuple[str, str | None],
) -> None:
    """What is said comes first; a key is never sent to an address that it was not set with."""
    for name in ("URL", "KEY"):
        monkeypatch.delenv(f"GROKPROBE_CLIENT_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(f"GROKPROBE_CLIENT_{name}", value)
    assert address(*given) == found


def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment says it."""
    monkeypatch.setenv("GROKPROBE_CLIENT_URL", "probe.example")
    with pytest.raises(ClientError, match=r"got 'probe\.example'"):
        address(None, None)
