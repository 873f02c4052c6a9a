"""CITATION.cff says what the package says (cff 1.2.0)."""

from pathlib import Path

import yaml

from tools.version import ROOT, version


def test_the_citation_is_the_packages() -> None:
    """The fields that cff 1.2.0 needs, with the version and licence of pyproject.toml."""
    found = yaml.safe_load(Path(ROOT / "CITATION.cff").read_text())
    assert found["cff-version"] == "1.2.0"
    assert found["message"]
    assert (found["title"], found["type"]) == ("grokprobe", "software")
    assert found["authors"] == [{"name": "The grokprobe authors"}]
    assert (found["version"], found["license"]) == (version(), "MIT")
