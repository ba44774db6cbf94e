"""What consumers outside are promised of every event: a schema that only grows, by fields that may be absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError

from commandside.event_store.mapper import EventMapper
from domain.events import EVENT_TYPES
from domain.upcasting import UPCASTERS
from streams.envelope import encode, encode_marker
from streams.schemas import ENVELOPE, event_schemas
from streams.topics import KEPT_IN_THE_LOG, kafka_topic, kind_of
from tests import strategies
from tests.history import write_schemas
from tests.history.golden import GoldenEvent, golden_files
from tests.history.schemas import ENVELOPE_NAME, SCHEMAS, Schema, incompatible_changes, published, text_of
from tests.profiles import profile

HOW = "write it with: .venv/bin/python -m tests.history.write_schemas"
SENT = sorted(topic for topic in EVENT_TYPES if kind_of(topic) not in KEPT_IN_THE_LOG)
ONCE_SENT = sorted(topic for topic in UPCASTERS if kind_of(topic) not in KEPT_IN_THE_LOG)
PUBLISHED = published()
EXAMPLES_COUNT = {"short": 5, "long": 20}[profile()]
ORDER_SUBMITTED = PUBLISHED["order.submitted.v1"]


def test_every_type_that_is_or_was_sent_has_its_schema() -> None:
    assert PUBLISHED.keys() == {*SENT, *ONCE_SENT, ENVELOPE_NAME}, HOW


def test_the_published_schemas_are_those_of_the_code() -> None:
    made = {**event_schemas(), ENVELOPE_NAME: ENVELOPE}
    assert {name for name in made if PUBLISHED.get(name) != made[name]} == set(), HOW


def test_every_type_is_on_the_page_of_its_topic() -> None:
    rows = [line for line in (SCHEMAS.parent / "events.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    for topic in SENT:
        (row,) = [row for row in rows if f"`{topic}`](schemas/{topic}.json)" in row]
        assert row.startswith(f"| `{kafka_topic(topic)}` |")


@pytest.mark.parametrize("topic", SENT)
def test_nothing_that_was_published_was_changed_for_its_consumers(topic: str) -> None:
    assert incompatible_changes(PUBLISHED[topic], event_schemas()[topic]) == []


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(PUBLISHED[name])


@pytest.mark.parametrize("topic", [*SENT, *ONCE_SENT])
def test_what_was_once_stored_fits_its_schema(topic: str) -> None:
    golden = GoldenEvent.load(golden_files()[topic])
    Draft202012Validator(PUBLISHED[topic]).validate(golden.state)
    for name in PUBLISHED[topic]["required"]:
        with pytest.raises(ValidationError):
            Draft202012Validator(PUBLISHED[topic]).validate({k: v for k, v in golden.state.items() if k != name})


@pytest.mark.parametrize("topic", SENT)
@settings(max_examples=EXAMPLES_COUNT)
@given(data=st.data())
def test_every_event_and_its_envelope_fit_their_schemas(topic: str, data: st.DataObject) -> None:
    event = data.draw(strategies.events(EVENT_TYPES[topic]))
    stored = EventMapper().to_stored_event(event)

    envelope = encode(
        (data.draw(st.integers(1, 2**63)), event.originator_id, event.originator_version, topic, stored.state)
    )

    assert envelope is not None
    assert envelope.kafka_topic == kafka_topic(topic)
    message = json.loads(envelope.value)
    Draft202012Validator(ENVELOPE).validate(message)
    Draft202012Validator(PUBLISHED[topic]).validate(message["data"])


def test_a_marker_fits_the_envelope_and_half_an_event_does_not() -> None:
    validator = Draft202012Validator(ENVELOPE)
    marker = json.loads(encode_marker(7))
    validator.validate(marker)
    for message in ({**marker, "type": "order.placed.v1"}, {**marker, "data": {}}, {**marker, "position": 0}):
        assert not validator.is_valid(message)


def changed(change: Callable[[Schema], Any]) -> Schema:
    schema = deepcopy(ORDER_SUBMITTED)
    change(schema)
    return schema


def nested(schema: Schema) -> Schema:
    found: Schema = schema["$defs"]["OrderLine"]
    return found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda s: s["properties"].pop("owner"), "data.owner: was removed"),
        (lambda s: s["properties"]["owner"].update(type="integer"), "data.owner: type was string, is integer"),
        (lambda s: s["properties"]["timestamp"].pop("format"), "data.timestamp: format was date-time, is None"),
        (lambda s: s["properties"].update(owner={"$ref": "#/$defs/Money"}), "data.owner: type was string, is object"),
        (
            lambda s: s["properties"].update(lines={"$ref": "#/$defs/OrderLine"}),
            "data.lines: type was array, is object",
        ),
        (
            lambda s: s["properties"]["lines"].update(items={"type": "string"}),
            "data.lines[]: type was object, is string",
        ),
        (lambda s: s["required"].remove("owner"), "data.owner: was always there"),
        (
            lambda s: (s["properties"].update(gift={"type": "boolean"}), s["required"].append("gift")),
            "data.gift: is required, and was not",
        ),
        (lambda s: nested(s)["properties"].pop("title"), "data.lines[].title: was removed"),
        (lambda s: nested(s)["required"].append("kind"), "data.lines[].kind: is required, and was not"),
        (lambda s: nested(s)["properties"]["kind"]["enum"].append("gift"), "data.lines[].kind: enum was"),
        (
            lambda s: s["$defs"]["Address"]["properties"]["line2"]["anyOf"].pop(),
            "data.shipping_address.line2: was one of 2 types, is one of 1",
        ),
        (
            lambda s: s["$defs"]["Address"]["properties"]["line2"]["anyOf"][1].update(type="integer"),
            "data.shipping_address.line2|1: type was string, is integer",
        ),
    ],
)
def test_a_change_that_would_break_a_consumer_is_found(change: Callable[[Schema], Any], what: str) -> None:
    assert any(found.startswith(what) for found in incompatible_changes(ORDER_SUBMITTED, changed(change)))


@pytest.mark.parametrize("free", [{}, {"additionalProperties": {"type": "integer"}}])
def test_a_change_of_what_a_dictionary_holds_is_found(free: Schema) -> None:
    old = {"type": "object", "additionalProperties": {"type": "string"}}
    assert len(incompatible_changes(old, {"type": "object", **free})) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda s: None,
        lambda s: s.update(description="said better"),
        lambda s: s["properties"].update(gift={"type": "boolean"}),
        lambda s: nested(s)["properties"].update(note={"type": "string"}),
    ],
)
def test_a_field_that_may_be_absent_may_come(change: Callable[[Schema], Any]) -> None:
    assert incompatible_changes(ORDER_SUBMITTED, changed(change)) == []


def test_an_incompatible_schema_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    before = text_of(changed(lambda s: s["properties"].update(owner={"type": "integer"})))
    (schemas / "order.submitted.v1.json").write_text(before)
    monkeypatch.setattr(write_schemas, "SCHEMAS", schemas)
    monkeypatch.setattr(write_schemas, "published", lambda: published(schemas))

    with pytest.raises(SystemExit, match=r"order\.submitted\.v1 data\.owner: type was integer, is string"):
        write_schemas.main()

    assert [path.name for path in schemas.iterdir()] == ["order.submitted.v1.json"]
    assert (schemas / "order.submitted.v1.json").read_text() == before
