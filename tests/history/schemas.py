"""The published schemas, one file per event type, and what may not change in one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.rules.sources import PROJECT

SCHEMAS = PROJECT / "docs" / "schemas"
ENVELOPE_NAME = "envelope"
Schema = dict[str, Any]


def published(folder: Path = SCHEMAS) -> dict[str, Schema]:
    """By event type, and the envelope's under its name."""
    return {path.name.removesuffix(".json"): json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}


def text_of(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def incompatible_changes(old: Schema, new: Schema) -> list[str]:
    """What a consumer written for `old` could stumble over. All that may come is a field that may be absent."""
    return list(_changes(old, new, old.get("$defs", {}), new.get("$defs", {}), "data"))


def _changes(old: Schema, new: Schema, old_defs: Schema, new_defs: Schema, where: str) -> Iterator[str]:
    old, new = _resolved(old, old_defs), _resolved(new, new_defs)
    for keyword in ("type", "format", "enum", "const"):
        if old.get(keyword) != new.get(keyword):
            yield f"{where}: {keyword} was {old.get(keyword)}, is {new.get(keyword)}"
    old_ways, new_ways = old.get("anyOf", []), new.get("anyOf", [])
    if len(old_ways) != len(new_ways):
        yield f"{where}: was one of {len(old_ways)} types, is one of {len(new_ways)}"
    for n, (old_way, new_way) in enumerate(zip(old_ways, new_ways, strict=False)):
        yield from _changes(old_way, new_way, old_defs, new_defs, f"{where}|{n}")
    for keyword, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if (keyword in old) != (keyword in new):
            yield f"{where}: {keyword} came or went"
        elif keyword in old:
            yield from _changes(old[keyword], new[keyword], old_defs, new_defs, where + sign)
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name, field in old_fields.items():
        if name not in new_fields:
            yield f"{where}.{name}: was removed"
        else:
            yield from _changes(field, new_fields[name], old_defs, new_defs, f"{where}.{name}")
    for name in sorted(set(old.get("required", [])) ^ set(new.get("required", []))):
        if name in new_fields:
            yield f"{where}.{name}: {'is required, and was not' if name in new['required'] else 'was always there'}"


def _resolved(schema: Schema, defs: Schema) -> Schema:
    while "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    return schema
