"""Events are facts in the past tense, under explicit topics that never change."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from domain.events import EVENT_TYPES, Created, Event

TOPIC = re.compile(r"(?P<kind>[a-z]+(_[a-z]+)*)\.(?P<what>[a-z]+(_[a-z]+)*)\.v[1-9][0-9]*")
IRREGULAR_PAST = frozenset({"begun", "given", "made", "taken"})


def event_classes() -> Iterator[type]:
    waiting: list[type] = [Event, Created]
    while waiting:
        subclasses: list[type] = waiting.pop().__subclasses__()
        yield from subclasses
        waiting += subclasses


def fault_of(topic: str) -> str | None:
    """Why this is no topic for an event, or None."""
    parts = TOPIC.fullmatch(topic)
    if parts is None:
        return f"{topic} is not of the form kind.past_tense.vN"
    words = parts["what"].split("_")
    if not any(word.endswith("ed") or word in IRREGULAR_PAST for word in words):
        return f"{topic} is not in the past tense"
    return None


def test_every_event_has_a_topic_of_its_own() -> None:
    classes = list(event_classes())
    assert classes
    assert [cls.__name__ for cls in classes if "TOPIC" not in cls.__dict__] == []
    topics = [cls.__dict__["TOPIC"] for cls in classes]
    assert sorted(topics) == sorted(set(topics)), "two events under one topic"
    assert dict(zip(topics, classes, strict=True)) == EVENT_TYPES


def test_every_topic_is_a_fact_in_the_past_tense() -> None:
    assert [fault for topic in EVENT_TYPES if (fault := fault_of(topic))] == []


@pytest.mark.parametrize(
    "topic",
    [
        "domain.events.order:OrderPlaced",
        "order.placed",
        "order.placed.v0",
        "Order.placed.v1",
        "order.Placed.v1",
        "order.place.v1",
        "order.shipment_pending.v1",
        "order.items.placed.v1",
        "",
    ],
)
def test_what_is_no_topic_is_found(topic: str) -> None:
    assert fault_of(topic) is not None


@pytest.mark.parametrize("topic", ["order.placed.v1", "cart.merged_away.v12", "stock_locations.warehouse_added.v1"])
def test_what_is_a_topic_is_not(topic: str) -> None:
    assert fault_of(topic) is None
