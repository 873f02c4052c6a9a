"""docs/openapi.json, the interface as it was reviewed: `make openapi` after a change of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from obstore.store import MemoryStore
from redis.asyncio import Redis

from grokprobe.settings import Settings
from grokprobe.store.archive.reader import ArchiveReader
from grokprobe.store.backends import Backends
from grokprobe.store.catalogue.catalogue import Catalogue
from grokprobe.store.catalogue.events import EventReader
from service.app import create_app, create_context
from service.inference.runtime import Runtime

TARGET = Path(__file__).parents[1] / "docs" / "openapi.json"


async def document() -> Any:
    """The document as the service gives it; no backend is asked for it."""
    backends = Backends(ArchiveReader(MemoryStore()), Catalogue(Redis()), EventReader(Redis()))
    app: Any = create_app(create_context(Settings(), backends, Runtime()), None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        found = (await client.get("/schema/openapi.json")).json()
    found["paths"] = dict(sorted(found["paths"].items()))  # the framework's order varies
    return found


if __name__ == "__main__":
    TARGET.write_text(json.dumps(asyncio.run(document()), indent=1) + "\n")
