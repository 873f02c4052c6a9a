"""The docs as a site: built without a warning, no link leads nowhere, no request leaves a page."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = [p for part in ("grokprobe", "service", "trainer") for p in (ROOT / part).rglob("*.py")]
ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}


class Page(HTMLParser):
    """What a built page loads, where it leads, what can be led to, and its policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        found = dict(attrs)
        self.anchors |= {found[name] or "" for name in ("id", "name") if name in found}
        if target := found.get(ATTRIBUTES.get(tag, "")):
            (self.links if tag == "a" else self.loads).append(target)
        if found.get("http-equiv") == "Content-Security-Policy":
            assert not self.loads, "the policy comes before what it is about"
            self.policy = found["content"] or ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copytree(ROOT / "tools/site", folder / "tools/site")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Its pages, by file."""
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


def test_every_page_is_in_the_navigation() -> None:
    """Each page of docs/ once, and no other."""
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = re.findall(r"[\w-]+\.md", str(config["nav"]))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_pages_load_from_their_own_host(pages: dict[Path, Page]) -> None:
    """Nothing is loaded from elsewhere, and a browser would refuse it: scripts' own loads too."""
    assert pages
    for path, page in pages.items():
        assert [load for load in page.loads if urlsplit(load).netloc] == [], path.name
        assert page.policy == "default-src 'self' 'unsafe-inline' blob: data:", path.name


def test_styles_load_from_their_own_host(site: Path) -> None:
    """No style sheet names another host, in url() or @import."""
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)]*", path.read_text())
        assert found == [], path.name


def test_links_lead_somewhere(pages: dict[Path, Page]) -> None:
    """Each link within the site names a file, and an anchor that is there."""
    for path, page in pages.items():
        for link in page.links:
            if urlsplit(link).scheme or link.startswith("//") or path.name == "404.html":
                continue
            target, anchor = urldefrag(unquote(link))
            file = (path.parent / target).resolve() if target not in ("", ".") else path
            file = file / "index.html" if file.is_dir() else file
            assert file.is_file(), f"{path.name}: {link}"
            if anchor:
                assert anchor in pages[file].anchors, f"{path.name}: {link}"


def test_links_of_the_readme_lead_somewhere() -> None:
    """On the page of the repository, before anything is built."""
    links = re.findall(r"\]\(([^)#]*)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_code_cites_sections_that_are_there() -> None:
    """Each title after `docs/maths.md,` is a heading of that page."""
    headings = set(re.findall(r"^## (.*)$", (ROOT / "docs/maths.md").read_text(), re.MULTILINE))
    cited = [
        " ".join(title.split())
        for path in SOURCES
        for title in re.findall(r'docs/maths\.md,\s+"([^"]*)"', path.read_text())
    ]
    assert cited
    assert set(cited) <= headings


def test_the_files_that_are_named_are_there() -> None:
    """Each path of the two pages about the code exists; words in capitals stand for a name."""
    text = "".join(
        (ROOT / f"docs/{name}.md").read_text() for name in ("architecture", "contributing")
    )
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?|\w+\.py)`", text))
    within = [ROOT, *(ROOT / part for part in ("grokprobe", "service", "service/v1", "trainer"))]
    within += [ROOT / "grokprobe/analysis", ROOT / "trainer/learning"]
    within += [ROOT / "service/middleware", ROOT / "service/server"]
    missing = {name for name in named if not any((folder / name).exists() for folder in within)}
    assert {name for name in missing if not re.search(r"[A-Z]{4}", name)} == set()


def test_the_tests_that_are_named_are_there() -> None:
    """Each test of docs/faults.md."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)", (ROOT / "docs/faults.md").read_text())
    assert named
    missing = [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text()]
    assert missing == []
