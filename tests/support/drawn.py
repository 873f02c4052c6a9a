"""Pictures read as readers of their formats do, and the process that draws them, looked at."""

import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.support.served import Served

DRAWN = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
PROGRAM = "rendering/program.py"


def size(name: str, picture: bytes) -> tuple[float, float]:
    """Width and height of a picture, which is what its format says."""
    if name == "svg":
        root = ElementTree.fromstring(picture)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        return float(root.attrib["width"]), float(root.attrib["height"])
    if name == "png":
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack("!II", picture[16:24])
        return float(width), float(height)
    assert picture.startswith(b"%PDF-")
    assert picture.rstrip().endswith(b"%%EOF")
    box = picture.split(b"/MediaBox")[1].split(b"]")[0].strip(b" [")
    *_, wide, high = map(float, box.split())
    return wide, high


def texts(svg: bytes) -> str:
    """All text of an svg."""
    return " ".join(ElementTree.fromstring(svg).itertext())


def renderers(service: int) -> list[int]:
    """The processes that draw for a service."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_text()
        except OSError:
            continue
        if parent == service and PROGRAM in command:
            found.append(int(stat.parent.name))
    return found


def renderer(served: Served) -> int:
    """The one that runs."""
    [found] = renderers(served.process.pid)
    return found


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and is not looked at does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def data(spec: Any) -> list[dict[str, Any]]:
    """Every row that a specification carries, however deep it stands."""
    if isinstance(spec, list):
        return [row for one in spec for row in data(one)]
    if not isinstance(spec, dict):
        return []
    own = spec["data"].get("values", []) if isinstance(spec.get("data"), dict) else []
    return [*own, *(row for name, one in spec.items() if name != "data" for row in data(one))]
