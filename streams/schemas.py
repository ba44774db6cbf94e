"""JSON Schemas (draft 2020-12) of what travels on Kafka, made from the types of the events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from datetime import datetime
from typing import Any, Final, get_args, get_type_hints

import msgspec

from commandside.event_store.mapper import EventMapper
from streams.envelope import MARKER_TYPE
from streams.topics import kafka_topic

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_STREAM_ATTRIBUTES: Final = ("subject", "time", "datacontenttype", "streamversion", "data")

ENVELOPE: Final[Schema] = {
    "$schema": DIALECT,
    "title": "envelope",
    "description": "A message of the relay: an event, or a mark of how far the relay has come. `data` is by `type`.",
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "format": "uri-reference", "pattern": "^/counterfoil/[a-z_]+$"},
        "type": {"type": "string", "pattern": "^[a-z_]+\\.[a-z_]+\\.v[1-9][0-9]*$"},
        "subject": {"type": "string", "format": "uuid"},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "position": {"type": "integer", "minimum": 1},
        "streamversion": {"type": "integer", "minimum": 1},
        "data": {"type": "object"},
    },
    "required": ["specversion", "id", "source", "type", "position"],
    "if": {"properties": {"type": {"const": MARKER_TYPE}}},
    "then": {"not": {"anyOf": [{"required": [name]} for name in _STREAM_ATTRIBUTES]}},
    "else": {"required": list(_STREAM_ATTRIBUTES)},
}


def event_schemas() -> dict[str, Schema]:
    """The schema of `data`, by event type, of every type that the relay sends."""
    states = EventMapper().state_types
    return {topic: _schema(topic, state) for topic, state in states.items() if kafka_topic(topic) is not None}


def _schema(topic: str, state: Any) -> Schema:
    (reference,), values = msgspec.json.schema_components([state])
    values = _in_one_order(values)
    event = values.pop(reference["$ref"].rpartition("/")[2])
    classes = {cls.__name__: cls for cls in _values_in(state)}
    _say_which_are_times(event, state)
    for name, value in values.items():
        _say_which_are_times(value, classes[name])
        value["description"] = _first_paragraph(value.get("description", ""))
    described = {"description": _first_paragraph(event["description"])} if "description" in event else {}
    whole = {"$schema": DIALECT, **event, "title": topic, **described}
    return whole | ({"$defs": values} if values else {})


def _in_one_order(schema: Any) -> Any:
    """As JSON has it, and the types of a union, which msgspec names in the order of a set, always in the same order."""
    if isinstance(schema, dict):
        ordered = {name: _in_one_order(part) for name, part in schema.items()}
        return ordered | ({"anyOf": sorted(ordered["anyOf"], key=repr)} if "anyOf" in ordered else {})
    return [_in_one_order(part) for part in schema] if isinstance(schema, list | tuple) else schema


def _values_in(cls: Any) -> Iterator[type[Any]]:
    """The dataclasses that the fields of `cls` are made of, to any depth."""
    for hint in get_type_hints(cls).values():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part) and isinstance(part, type):
                yield part
                yield from _values_in(part)


def _say_which_are_times(schema: Schema, cls: Any) -> None:
    """msgspec does not, because a datetime might have no zone; ours all have one."""
    for name, hint in get_type_hints(cls).items():
        if hint is datetime:
            schema["properties"][name]["format"] = "date-time"


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
