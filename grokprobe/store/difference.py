"""In which fields do two records differ?"""

from typing import Any

import msgspec

from grokprobe.store.manifest import Record, encode


def differing_fields(ours: Record, theirs: Record) -> list[str]:
    """The dotted names of the fields in which two records differ, `created_at` aside."""
    left, right = (_flat(msgspec.json.decode(encode(record))) for record in (ours, theirs))
    differing = {name for name, _ in left.items() ^ right.items()}
    return sorted(differing - {"created_at"})


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Leaves by dotted name, as JSON text so that lists compare too."""
    if not isinstance(value, dict) or not value:
        return {path: msgspec.json.encode(value).decode()}
    parts = (_flat(item, f"{path}.{key}" if path else key) for key, item in value.items())
    return {name: leaf for part in parts for name, leaf in part.items()}
