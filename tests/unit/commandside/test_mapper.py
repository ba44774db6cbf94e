"""Events to rows and back. What was stored under an old topic reads as if it had been stored under the new one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.persistence import Cipher, MapperDeserialisationError, StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from commandside.event_store.mapper import EventMapper
from domain.aggregates import Cart
from domain.events import EVENT_TYPES
from domain.events.cart import CartItemAdded, CartOpened
from domain.upcasting import State, Upcasters
from domain.values import CartLine, Money
from tests.strategies import cause


def opened() -> CartOpened:
    (event,) = Cart.open("customer:ada", cause()).collect_events()
    assert isinstance(event, CartOpened)
    return event


def with_owner(state: State) -> State:
    """v1 had the customer's name only, under another field."""
    return {**{name: value for name, value in state.items() if name != "customer"}, "owner": state["customer"]}


def with_kind_of_owner(state: State) -> State:
    """v2's owners were all customers."""
    return {**state, "owner": f"customer:{state['owner']}"}


# As if CartOpened were in its third version.
UPCASTERS: Upcasters = {
    "cart.opened.v1": ("cart.opened.v2", with_owner),
    "cart.opened.v2": ("cart.opened.v3", with_kind_of_owner),
}
MAPPER = EventMapper()
THIRD = EventMapper(event_types={"cart.opened.v3": CartOpened}, upcasters=UPCASTERS)


def changed(stored: StoredEvent, topic: str, **fields: Any) -> StoredEvent:
    """Another topic, and other fields; None takes one away."""
    state = {**json.loads(stored.state), **fields}
    state = {name: value for name, value in state.items() if value is not None}
    return replace(stored, topic=topic, state=json.dumps(state).encode())


def test_an_old_event_reads_as_the_new_one() -> None:
    stored = MAPPER.to_stored_event(opened())
    first = changed(stored, "cart.opened.v1", customer="ada", owner=None)
    second = changed(stored, "cart.opened.v2", owner="ada")
    third = changed(stored, "cart.opened.v3")

    read = [THIRD.to_domain_event(version) for version in (first, second, third)]

    assert read == [opened()] * 3
    assert Cart.replay(read[:1]) == Cart.replay([opened()])


def test_the_row_is_plain_json_without_what_has_a_column() -> None:
    cart = Cart.open("customer:ada", cause())
    cart.add(CartLine("lamp", "Lamp – £", 2, Money(1_999, "GBP")), cause())
    _, added = cart.collect_events()

    stored = MAPPER.to_stored_event(added)

    assert (stored.originator_id, stored.originator_version, stored.topic) == (cart.id, 2, "cart.item_added.v1")
    assert json.loads(stored.state) == {
        "timestamp": "2026-03-01T12:00:00Z",
        "actor": "customer:ada",
        "causation_id": "command-1",
        "correlation_id": "conversation-1",
        "line": {
            "product_id": "lamp",
            "title": "Lamp – £",
            "quantity": 2,
            "unit_price": {"amount": 1_999, "currency": "GBP"},
        },
    }
    assert isinstance(MAPPER.to_domain_event(stored), CartItemAdded)


def test_an_event_that_was_read_is_as_frozen_as_any() -> None:
    read = MAPPER.to_domain_event(MAPPER.to_stored_event(opened()))
    with pytest.raises(AttributeError):
        read.actor = "somebody else"  # type: ignore[misc]
    assert hash(read) == hash(opened())


@pytest.mark.parametrize("topic", ["cart.opened.v9", "cart.vanished.v1", "domain.events.cart:CartOpened", ""])
def test_an_unknown_topic_is_refused(topic: str) -> None:
    with pytest.raises(MapperDeserialisationError, match=r"event 1 of stream"):
        MAPPER.to_domain_event(replace(MAPPER.to_stored_event(opened()), topic=topic))


@pytest.mark.parametrize(
    "fields",
    [
        {"owner": None},
        {"owner": 7},
        {"owner": ["ada"]},
        {"timestamp": "yesterday"},
        {"timestamp": None},
        {"actor": {"name": "ada"}},
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MapperDeserialisationError):
        MAPPER.to_domain_event(changed(MAPPER.to_stored_event(opened()), "cart.opened.v1", **fields))


def test_a_field_that_the_event_does_not_have_is_passed_over() -> None:
    """A later release may have written it; that it is the same event is the topic's to say."""
    stored = changed(MAPPER.to_stored_event(opened()), "cart.opened.v1", surname="Lovelace")
    assert MAPPER.to_domain_event(stored) == opened()


@pytest.mark.parametrize("fields", [{}, {"customer": "a", "actor": 7}], ids=str)
def test_an_old_state_that_does_not_fit_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MapperDeserialisationError):
        THIRD.to_domain_event(changed(MAPPER.to_stored_event(opened()), "cart.opened.v1", **fields))


@given(state=st.binary(max_size=40), topic=st.sampled_from(sorted(EVENT_TYPES)))
def test_whatever_bytes_there_are_they_are_read_or_refused(state: bytes, topic: str) -> None:
    with pytest.raises(MapperDeserialisationError):
        MAPPER.to_domain_event(replace(MAPPER.to_stored_event(opened()), topic=topic, state=state))


@given(state=st.binary(max_size=40) | st.sampled_from([b"[]", b"null", b"7", b'"x"', b"{}"]))
def test_whatever_bytes_there_are_of_old_they_are_read_or_refused(state: bytes) -> None:
    with pytest.raises(MapperDeserialisationError):
        THIRD.to_domain_event(StoredEvent(opened().originator_id, 1, "cart.opened.v1", state))


class Backwards(Cipher):
    def __init__(self) -> None:
        """Wants no key."""

    def encrypt(self, plaintext: bytes) -> bytes:
        return plaintext[::-1]

    def decrypt(self, ciphertext: bytes) -> bytes:
        return ciphertext[::-1]


def test_compressed_and_encrypted_it_is_the_same_event() -> None:
    mapper = EventMapper(compressor=ZlibCompressor(), cipher=Backwards())
    stored = mapper.to_stored_event(opened())
    assert stored.state != MAPPER.to_stored_event(opened()).state
    assert mapper.to_domain_event(stored) == opened()
