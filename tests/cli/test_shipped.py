"""The run within the package: made by our trainer, small, sound, and as the docs tell it."""

import asyncio
import re
import zipfile
from pathlib import Path

import msgspec
import pytest
from obstore.store import LocalStore

from grokprobe.cli.shipped import PACKED, RUN
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.archive.verification import examine
from grokprobe.store.records import sha256
from tools.shipped import pack
from trainer.config.schema import load_config, preset

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is packed."""
    folder = tmp_path_factory.mktemp("shipped")
    with zipfile.ZipFile(PACKED) as packed:
        packed.extractall(folder)
    return folder


def test_it_is_small(folder: Path) -> None:
    """At most 4 MB of ONNX."""
    assert sum(path.stat().st_size for path in folder.rglob("model.onnx")) <= 4_000_000


def test_it_is_sound_and_of_its_preset(folder: Path) -> None:
    """Every digest is as recorded, and the preset of its name trained it."""
    archive = ArchiveReader(LocalStore(folder))
    examined = asyncio.run(examine(archive, RUN))
    assert examined.problems == []
    manifest = asyncio.run(archive.run(RUN))
    assert manifest.config == msgspec.json.decode(msgspec.json.encode(load_config(preset(RUN))))


def test_the_docs_tell_its_digest() -> None:
    """That of the file, so that whoever packs it anew changes both."""
    told = re.search(r"`([0-9a-f]{64})`", (ROOT / "docs/commands.md").read_text())
    assert told is not None
    assert told[1] == sha256(PACKED.read_bytes())


def test_packing_it_anew_gives_its_bytes(folder: Path, tmp_path: Path) -> None:
    """Nothing but the objects decides: neither times nor their order."""
    pack(folder, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == PACKED.read_bytes()
