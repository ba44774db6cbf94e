"""What was once written still loads. Every topic there ever was has a golden file, and none is ever changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eventsourcing.persistence import MapperDeserialisationError

from commandside.event_store.mapper import EventMapper
from domain.events import EVENT_TYPES
from domain.upcasting import UPCASTERS
from tests.history.golden import (
    GOLDEN,
    GoldenEvent,
    changed_files,
    digest_of,
    golden_files,
    read_manifest,
    write_manifest,
)

HOW = "add it with: .venv/bin/python -m tests.history.write_golden"


def test_every_topic_has_a_golden_file() -> None:
    assert set(golden_files()) == {*EVENT_TYPES, *UPCASTERS}, HOW


def test_no_golden_file_was_changed() -> None:
    assert changed_files(GOLDEN, read_manifest()) == [], "what is stored cannot be changed: write an upcaster"


@pytest.mark.parametrize("path", golden_files().values(), ids=golden_files().keys())
def test_a_stored_event_loads(path: Path) -> None:
    golden = GoldenEvent.load(path)

    event = EventMapper().to_domain_event(golden.stored())

    assert golden.topic == path.name.removesuffix(".json")
    assert type(event) is EVENT_TYPES[current(golden.topic)]
    assert (event.originator_id, event.originator_version) == (golden.originator_id, golden.originator_version)
    assert event.timestamp.utcoffset() is not None


@pytest.mark.parametrize("topic", sorted(EVENT_TYPES))
def test_a_current_event_is_stored_as_it_was(topic: str) -> None:
    golden = GoldenEvent.load(GOLDEN / f"{topic}.json")
    mapper = EventMapper()

    again = mapper.to_stored_event(mapper.to_domain_event(golden.stored()))

    assert GoldenEvent.of(again) == golden
    assert list(json.loads(again.state)) == list(golden.state), "the order of the fields too"


def test_a_field_that_no_longer_fits_is_found() -> None:
    golden = GoldenEvent.load(GOLDEN / "cart.opened.v1.json")
    renamed = {("holder" if name == "owner" else name): value for name, value in golden.state.items()}

    with pytest.raises(MapperDeserialisationError):
        EventMapper().to_domain_event(replace(golden, state=renamed).stored())


def test_an_unknown_topic_is_found() -> None:
    golden = GoldenEvent.load(GOLDEN / "cart.opened.v1.json")

    with pytest.raises(MapperDeserialisationError):
        EventMapper().to_domain_event(replace(golden, topic="cart.vanished.v1").stored())


def test_a_changed_a_missing_and_an_unlisted_file_are_found(tmp_path: Path) -> None:
    for name in ("a.done.v1.json", "b.done.v1.json", "c.done.v1.json"):
        (tmp_path / name).write_text("{}")
    write_manifest({path.name: digest_of(path) for path in golden_files(tmp_path).values()}, tmp_path / "MANIFEST")
    manifest = read_manifest(tmp_path / "MANIFEST")
    assert changed_files(tmp_path, manifest) == []

    (tmp_path / "a.done.v1.json").write_text("{ }")
    (tmp_path / "b.done.v1.json").unlink()
    (tmp_path / "d.done.v1.json").write_text("{}")

    assert changed_files(tmp_path, manifest) == ["a.done.v1.json", "b.done.v1.json", "d.done.v1.json"]


def current(topic: str) -> str:
    while topic in UPCASTERS:
        topic = UPCASTERS[topic][0]
    return topic
