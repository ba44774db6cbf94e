"""Adds a golden file for each topic that has none: `.venv/bin/python -m tests.history.write_golden`.

Never touches one that is there. To be run once when an event is new, before its first release.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from commandside.event_store.mapper import EventMapper
from domain.events import EVENT_TYPES, AnyEvent
from tests.history.golden import GOLDEN, GoldenEvent, digest_of, golden_files, read_manifest, write_manifest

STREAM = UUID("0192a4c8-7b00-7000-8000-00000000c0de")
MOMENT = datetime(2025, 3, 9, 14, 30, 15, 123456, tzinfo=UTC)
SAMPLES: dict[Any, Any] = {float: 2.5, bool: True, datetime: MOMENT}


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    present, manifest, mapper = golden_files(), read_manifest(), EventMapper()
    for topic, event_type in sorted(EVENT_TYPES.items()):
        if topic in present:
            continue
        path = GOLDEN / f"{topic}.json"
        path.write_text(GoldenEvent.of(mapper.to_stored_event(sample(event_type))).text(), encoding="utf-8")
        manifest[path.name] = digest_of(path)
        print(f"added {path.name}")
    write_manifest(manifest)


def sample(event_type: type[AnyEvent]) -> AnyEvent:
    """An event with a telling value in every field."""
    hints = get_type_hints(event_type)
    values: dict[str, Any] = {"originator_id": STREAM, "originator_version": 1}
    for field in fields(event_type):
        if field.name not in values:
            values[field.name] = value_of(hints[field.name], field.name)
    if "originator_topic" in values:  # names the kind of aggregate
        values["originator_topic"] = event_type.TOPIC.split(".", maxsplit=1)[0]
    return event_type(**values)


def value_of(hint: Any, name: str) -> Any:
    """A value of the type `hint`; texts and numbers are their field's own, because equal ones would hide a swap."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return arguments[-1]
    if origin in (Union, types.UnionType):
        return value_of(next(part for part in arguments if part is not type(None)), name)
    if origin is tuple:
        return (value_of(arguments[0], f"{name} 1"), value_of(arguments[0], f"{name} 2"))
    if origin is dict:
        kinds = get_args(arguments[1]) or (arguments[1],)
        return {kind.__name__: value_of(kind, name) for kind in kinds}
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{field.name: value_of(hints[field.name], f"{name}.{field.name}") for field in fields(hint)})
    if hint is str:
        return "GBP" if name.endswith("currency") else f"{name} £ – 東京"
    if hint is int:
        return 1 + sum(name.encode()) % 997
    value = SAMPLES.get(hint, MISSING)
    if value is MISSING:
        raise TypeError(f"no sample of {hint} for {name}")
    return value


if __name__ == "__main__":
    main()
