"""What goes into an envelope comes out of it, whatever the event."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.persistence import MapperDeserialisationError
from hypothesis import given, settings
from hypothesis import strategies as st

from commandside.event_store.mapper import EventMapper, Row
from domain.aggregates import Cart
from domain.events import EVENT_TYPES, AnyEvent, Recorded
from domain.events.cart import CartOpened
from domain.upcasting import State, Upcasters
from streams.envelope import NotAnEnvelope, PositionMarker, UnreadableEvent, decode, encode, encode_marker
from streams.topics import KEPT_IN_THE_LOG, TOPIC_OF_KIND, kafka_topic, kind_of
from tests import strategies
from tests.strategies import cause

MAPPER = EventMapper()
SENT = sorted(topic for topic in EVENT_TYPES if kafka_topic(topic) is not None)


def row(position: int, event: AnyEvent, mapper: EventMapper = MAPPER) -> Row:
    stored = mapper.to_stored_event(event)
    assert isinstance(stored.originator_id, UUID)
    return (position, stored.originator_id, stored.originator_version, stored.topic, stored.state)


def opened() -> CartOpened:
    (event,) = Cart.open("customer:ada – £", cause()).collect_events()
    assert isinstance(event, CartOpened)
    return event


@pytest.mark.parametrize("topic", SENT)
@settings(max_examples=30)
@given(data=st.data(), position=st.integers(1, strategies.INTEGER_LIMIT))
def test_an_event_comes_out_as_it_went_in(topic: str, data: st.DataObject, position: int) -> None:
    event = data.draw(strategies.events(EVENT_TYPES[topic]))

    envelope = encode(row(position, event))

    assert envelope is not None
    assert envelope.kafka_topic == kafka_topic(topic)
    assert envelope.key == str(event.originator_id).encode()
    assert decode(envelope.value) == Recorded(position, event)


def test_the_envelope_is_a_cloud_event() -> None:
    event = opened()
    envelope = encode(row(41, event))

    assert envelope is not None
    assert json.loads(envelope.value) == {
        "specversion": "1.0",
        "id": f"{event.originator_id}:1",
        "source": "/counterfoil/cart",
        "type": "cart.opened.v1",
        "subject": str(event.originator_id),
        "time": "2026-03-01T12:00:00Z",
        "datacontenttype": "application/json",
        "position": 41,
        "streamversion": 1,
        "data": json.loads(row(41, event)[4]),
    }


def test_every_kind_of_event_is_sent_somewhere_or_kept_on_purpose() -> None:
    assert {kind_of(topic) for topic in EVENT_TYPES} == TOPIC_OF_KIND.keys() | KEPT_IN_THE_LOG


@pytest.mark.parametrize("topic", sorted(EVENT_TYPES.keys() - set(SENT)))
@given(data=st.data())
def test_what_is_kept_in_the_log_is_not_sent(topic: str, data: st.DataObject) -> None:
    assert encode(row(1, data.draw(strategies.events(EVENT_TYPES[topic])))) is None


def test_a_sealed_state_goes_unsealed() -> None:
    sealing = EventMapper(compressor=ZlibCompressor())
    event = opened()

    envelope = encode(row(1, event, sealing), sealing)

    assert envelope is not None
    assert decode(envelope.value) == Recorded(1, event)


def with_owner(state: State) -> State:
    """The first version had the owner under another name."""
    return {**{name: value for name, value in state.items() if name != "customer"}, "owner": state["customer"]}


UPCASTERS: Upcasters = {"cart.opened.v1": ("cart.opened.v2", with_owner)}
SECOND = EventMapper(event_types={"cart.opened.v2": CartOpened}, upcasters=UPCASTERS)


def first_version(**changes: Any) -> Row:
    state = json.loads(row(1, opened())[4])
    state["customer"] = state.pop("owner")
    return (1, UUID(int=1), 1, "cart.opened.v1", json.dumps(state | changes).encode())


def test_an_old_event_goes_in_its_present_version() -> None:
    envelope = encode(first_version(), SECOND)

    assert envelope is not None
    message = json.loads(envelope.value)
    assert message["type"] == "cart.opened.v2"
    assert message["data"]["owner"] == opened().owner
    assert decode(envelope.value, SECOND) == Recorded(1, SECOND.read(*first_version()[1:]))


@pytest.mark.parametrize(
    ("unreadable", "mapper"),
    [
        ((1, UUID(int=1), 1, "cart.vanished.v1", b"{}"), MAPPER),
        ((1, UUID(int=1), 1, "cart.opened.v1", b"{"), MAPPER),
        ((1, UUID(int=1), 1, "cart.opened.v1", b"{}"), MAPPER),
        ((1, UUID(int=1), 1, "cart.opened.v1", b"{}"), EventMapper(compressor=ZlibCompressor())),
        (first_version(owner=1, customer=1), SECOND),
        ((1, UUID(int=1), 1, "cart.opened.v1", b"{}"), SECOND),
    ],
)
def test_what_cannot_be_read_is_not_sent(unreadable: Row, mapper: EventMapper) -> None:
    with pytest.raises(MapperDeserialisationError):
        encode(unreadable, mapper)


@given(position=st.integers(1, strategies.INTEGER_LIMIT))
def test_a_marker_comes_out_as_it_went_in(position: int) -> None:
    assert decode(encode_marker(position)) == PositionMarker(position)


@pytest.mark.parametrize(
    "message",
    [
        None,
        b"",
        b"{",
        b"null",
        b'{"type": "counterfoil.position.v1", "position": -1}',
        b'{"type": "counterfoil.position.v1", "position": 9223372036854775808}',
        b'{"type": "\xff", "position": 1}',
        b'{"type": "cart.opened.v1", "position": 1, "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type": "cart.opened.v1"}',
        b'{"type": "cart.opened.v1", "position": 1}',
        b'{"type": "cart.opened.v1", "position": "1", "subject": "x", "streamversion": 1, "data": {}}',
        b'{"type": "cart.opened.v1", "position": 1, "subject": "x", "streamversion": 1, "data": {}}',
    ],
)
def test_what_no_relay_wrote_is_found(message: bytes | None) -> None:
    with pytest.raises(NotAnEnvelope):
        decode(message)


@pytest.mark.parametrize("change", [{"type": "cart.vanished.v1"}, {"data": {}}])
def test_an_event_that_does_not_fit_its_type_is_found(change: dict[str, Any]) -> None:
    envelope = encode(row(1, opened()))
    assert envelope is not None
    with pytest.raises(UnreadableEvent) as raised:
        decode(json.dumps(json.loads(envelope.value) | change).encode())
    assert (raised.value.position, raised.value.stream_id) == (1, opened().originator_id)
