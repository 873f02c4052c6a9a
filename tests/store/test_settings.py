"""Settings: defaults, what is refused, and what the refusal says."""

import pytest

from grokprobe.errors import SettingError
from grokprobe.settings import Settings, read_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing set, nothing required; other programs' variables are none of our business."""
    assert read_settings({"PATH": "/bin", "REDIS_URL": "redis://elsewhere"}) == Settings()


def test_values_are_read_by_name() -> None:
    """`GROKPROBE_NAME` fills `name`, in the field's own type."""
    found = read_settings({"GROKPROBE_PORT": "9000", "GROKPROBE_REQUIRE_GPU": "true"})
    assert (found.port, found.require_gpu) == (9000, True)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GROKPROBE_MAX_PAIR", "3", "did you mean GROKPROBE_MAX_PAIRS"),
        ("GROKPROBE_SERVICE_PORT", "tcp://10.0.0.1", "is not a setting"),
        ("GROKPROBE_PORT", "99999", "expected `int` <= 65535, got '99999'"),
        ("GROKPROBE_MAX_PAIRS", "0", "expected `int` >= 1, got '0'"),
        ("GROKPROBE_MAX_PAIRS", "many", "expected `int`, got 'many'"),
        ("GROKPROBE_CORS_ORIGINS", "lab.example", "expected * or origins such as https://"),
        ("GROKPROBE_CORS_ORIGINS", "https://a/b", "expected * or origins such as https://"),
        ("GROKPROBE_FRAME_ANCESTORS", "", "expected none, or self and origins such as https://"),
        ("GROKPROBE_FRAME_ANCESTORS", "none, self", "expected none, or self and origins"),
        ("GROKPROBE_FRAME_ANCESTORS", "*", "expected none, or self and origins"),
        ("GROKPROBE_FRAME_ANCESTORS", "lab.example", "expected none, or self and origins"),
        ("GROKPROBE_FRAME_ANCESTORS", "https://a/b", "expected none, or self and origins"),
        ("GROKPROBE_FRAME_ANCESTORS", "self; script-src *", "expected none, or self and origins"),
        ("GROKPROBE_FRAME_ANCESTORS", "self\r\nX: y", "expected none, or self and origins"),
        ("GROKPROBE_REQUIRE_GPU", "yes", "expected true or false, got 'yes'"),
        ("GROKPROBE_LOG_FORMAT", "xml", "expected auto, text or json, got 'xml'"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str, says: str) -> None:
    """An unknown name or a bad value stops the start, naming the variable and what is allowed."""
    with pytest.raises(SettingError, match=name) as caught:
        read_settings({name: value})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        *[("none", "'none'"), ("'none'", "'none'"), ("self", "'self'"), ("'self'", "'self'")],
        ("https://lab.example", "https://lab.example"),
        ("self, https://*.lab.example:8443", "'self' https://*.lab.example:8443"),
        ("http://localhost:8888 https://a-b.c", "http://localhost:8888 https://a-b.c"),
    ],
)
def test_who_may_frame_the_page(given: str, sent: str) -> None:
    """Words with or without the header's quotes, origins with commas or spaces."""
    assert read_settings({"GROKPROBE_FRAME_ANCESTORS": given}).ancestors == sent
