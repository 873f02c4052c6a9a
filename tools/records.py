"""grokprobe/client/records.py from docs/openapi.json: `python -m tools.records`.

Own code, since the generators that emit msgspec structures make one class of each inline schema and
one module of 118: here a record is what a route under /v1 answers with, or lies in one.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/openapi.json"
TARGET = ROOT / "grokprobe/client/records.py"
HEAD = '''"""What the service answers with: made by `python -m tools.records`."""

from datetime import datetime
from typing import Any, Literal

from grokprobe.client.answers import Answer, Record

'''
SIMPLE = {"integer": "int", "number": "float", "boolean": "bool", "null": "None", "string": "str"}
Schema = dict[str, Any]


def references(found: Any) -> Iterator[str]:
    """The names of the schemas that a part of the document refers to."""
    if isinstance(found, dict):
        if "$ref" in found:
            yield found["$ref"].rpartition("/")[2]
        for value in found.values():
            yield from references(value)
    elif isinstance(found, list):
        for value in found:
            yield from references(value)


def kind(schema: Schema) -> str:  # noqa: PLR0911
    """The annotation of a schema."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "const" in schema or "enum" in schema:
        values = [v for v in schema.get("enum", [schema.get("const")]) if v is not None]
        literal = f"Literal[{', '.join(map(repr, values))}]"
        return f"{literal} | None" if None in schema.get("enum", ()) else literal
    if "oneOf" in schema:
        return " | ".join(dict.fromkeys(kind(one) for one in schema["oneOf"]))
    named = schema.get("type")
    if isinstance(named, list):
        return " | ".join(kind({**schema, "type": one}) for one in sorted(named, reverse=True))
    if named == "array":
        if "prefixItems" in schema:
            return f"tuple[{', '.join(kind(one) for one in schema['prefixItems'])}]"
        return f"list[{kind(schema.get('items', {}))}]"
    if named == "object":
        # A number by name may be a step as well as a measure.
        inside = kind(schema.get("additionalProperties") or {}).replace("float", "int | float")
        return f"dict[str, {inside}]"
    return "datetime" if schema.get("format") == "date-time" else SIMPLE.get(str(named), "Any")


def record(name: str, schema: Schema, base: str) -> str:
    """One class; what need not be there is None."""
    lines = [f"class {name}({base}, kw_only=True):", f'    """{schema.get("title", name)}."""', ""]
    for field, inside in sorted(schema["properties"].items()):
        needed = field in schema.get("required", ())
        annotation = kind(inside)
        if not needed and "None" not in annotation:
            annotation += " | None"
        lines.append(f"    {field}: {annotation}{'' if needed else ' = None'}")
    return "\n".join(lines)


def formats(document: Any) -> dict[str, tuple[str, ...]]:
    """The formats on offer by route."""
    found = {}
    for path, methods in sorted(document["paths"].items()):
        for method, operation in methods.items():
            named = [p for p in operation.get("parameters", ()) if p["name"] == "format"]
            if path.startswith("/v1/") and named:
                found[f"{method.upper()} {path}"] = tuple(named[0]["schema"]["enum"])
    return found


def source() -> str:
    """The module, as the formatter has it."""
    document = json.loads(DOCUMENT.read_text())
    schemas = document["components"]["schemas"]
    routes = {path: of for path, of in document["paths"].items() if path.startswith("/v1/")}
    answers = {
        name
        for methods in routes.values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status == "200"
        for name in references(answer["content"].get("application/json", {}))
    }
    order: dict[str, None] = {}

    def place(name: str) -> None:
        for inside in sorted(set(references(schemas[name])) - {name}):
            place(inside)
        order.setdefault(name)

    for name in sorted(answers | {"Problem"}):
        place(name)
    classes = [record(n, schemas[n], "Answer" if n in answers else "Record") for n in order]
    table = f"FORMATS: dict[str, tuple[str, ...]] = {formats(document)!r}"
    return formatted("\n\n\n".join([HEAD.strip(), *classes, table]) + "\n")


def formatted(text: str) -> str:
    """As `ruff format` and the sorter of imports have it."""
    named = ["--stdin-filename", str(TARGET), "-"]
    for command in (["check", "--select", "I,F401", "--fix", "-q"], ["format", "-q"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *named],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    TARGET.write_text(source())
