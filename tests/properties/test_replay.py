"""A stream, replayed from its first event on, is the live aggregate; and so it is when it comes out of the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from eventsourcing.domain import OriginatorVersionError
from hypothesis import given
from hypothesis import strategies as st

from commandside.event_store.mapper import EventMapper
from domain import aggregates
from domain.aggregates import Allowance, Cart, Checkout, EventSourced, Order, Product, Receipt, StockItem
from domain.events import EVENT_TYPES, AnyEvent, Created
from tests.properties import (
    test_allowance,
    test_cart,
    test_checkout,
    test_order,
    test_product,
    test_receipt,
    test_stock_item,
)
from tests.strategies import HISTORIES, causes, events

MAPPER = EventMapper()
KINDS = [pytest.param(kind, id=kind.__name__) for kind in HISTORIES]
INVARIANTS: dict[type[EventSourced], Callable[[Any], None]] = {
    Product: test_product.ensure_one_currency,
    StockItem: test_stock_item.ensure_invariants,
    Cart: test_cart.ensure_invariants,
    Order: test_order.ensure_invariants,
    Checkout: test_checkout.ensure_invariants,
    Receipt: test_receipt.ensure_invariants,
    Allowance: test_allowance.ensure_invariants,
}


def test_every_aggregate_has_its_histories() -> None:
    kinds = {getattr(aggregates, name) for name in aggregates.__all__} - {EventSourced}
    assert set(HISTORIES) == kinds


def test_every_event_is_evolved_by_exactly_one_aggregate() -> None:
    evolved = Counter(event_class for kind in HISTORIES for event_class in kind.evolved_event_classes())
    assert evolved == Counter(EVENT_TYPES.values())


def test_every_stream_begins_in_one_way() -> None:
    for kind in HISTORIES:
        starts = [event_class for event_class in kind.evolved_event_classes() if issubclass(event_class, Created)]
        assert len(starts) == 1


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_prefix_replays_and_satisfies_the_invariants(kind: type[EventSourced], data: st.DataObject) -> None:
    past = data.draw(HISTORIES[kind])
    live: Any = None
    for length, event in enumerate(past, start=1):
        live = event.mutate(live)
        replayed = kind.replay(past[:length])
        assert replayed == live
        assert replayed.version == length == event.originator_version
        assert replayed.id == past[0].originator_id
        INVARIANTS.get(kind, lambda _: None)(replayed)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_the_log_gives_back_what_it_was_given(kind: type[EventSourced], data: st.DataObject) -> None:
    past, mapper = data.draw(HISTORIES[kind]), MAPPER

    stored = [mapper.to_stored_event(event) for event in past]
    read = [mapper.to_domain_event(row) for row in stored]

    assert read == past
    assert kind.replay(read) == kind.replay(past)
    assert [row.topic for row in stored] == [event.TOPIC for event in past]


@pytest.mark.parametrize("event_class", [pytest.param(cls, id=topic) for topic, cls in sorted(EVENT_TYPES.items())])
@given(data=st.data())
def test_every_event_goes_through_the_log_whatever_is_in_it(event_class: type[AnyEvent], data: st.DataObject) -> None:
    event, mapper = data.draw(events(event_class)), MAPPER

    read = mapper.to_domain_event(mapper.to_stored_event(event))

    assert read == event
    assert type(read) is event_class
    assert vars(read) == vars(event)


@given(data=st.data())
def test_a_gap_and_a_repetition_are_noticed(data: st.DataObject) -> None:
    past = data.draw(HISTORIES[StockItem].filter(lambda history: len(history) > 2))
    at = data.draw(st.integers(1, len(past) - 2))
    for wrong in (past[:at] + past[at + 1 :], past[: at + 1] + past[at:]):
        with pytest.raises(OriginatorVersionError):
            StockItem.replay(wrong)


@given(cause=causes)
def test_the_events_of_another_kind_are_refused(cause: Any) -> None:
    receipt = Receipt.open("customer:ada", "key", "digest", "order-1", cause)
    with pytest.raises(TypeError, match="Receipt"):
        Cart.replay(receipt.collect_events())
