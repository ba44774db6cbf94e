"""The views are pure folds of their streams, and say what the aggregates say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from commandside import representations
from domain.aggregates import Cart, Order, Product, StockItem
from domain.events import AnyEvent
from projections import cart, order, product_page, stock_level
from projections.keys import Keys
from projections.versions import VersionGap
from projections.views import Carts, Orders, ProductPages, StockLevels
from projections.writes import PutDocument, PutLevel
from tests import histories

VIEWS: dict[str, Any] = {
    "product": ProductPages(Keys()),
    "stock": StockLevels(Keys()),
    "cart": Carts(Keys()),
    "order": Orders(Keys()),
}
order_histories = histories.orders().map(histories.pending)
any_history = st.one_of(
    st.tuples(st.just("product"), histories.product_histories()),
    st.tuples(st.just("stock"), histories.stock_histories()),
    st.tuples(st.just("cart"), histories.cart_histories()),
    st.tuples(st.just("order"), order_histories),
)


@given(any_history)
def test_the_same_events_make_the_same_view(history: tuple[str, list[AnyEvent]]) -> None:
    name, events = history
    assert msgspec.json.encode(fold(VIEWS[name].evolve, events)) == msgspec.json.encode(
        fold(VIEWS[name].evolve, events)
    )


@given(any_history, st.data())
def test_an_event_that_was_applied_before_changes_nothing(
    history: tuple[str, list[AnyEvent]], data: st.DataObject
) -> None:
    name, events = history
    view = fold(VIEWS[name].evolve, events)
    assert VIEWS[name].evolve(view, data.draw(st.sampled_from(events))) is view


@given(any_history, st.data())
def test_a_missing_event_is_a_gap(history: tuple[str, list[AnyEvent]], data: st.DataObject) -> None:
    name, events = history
    assume(len(events) > 1)
    missing = data.draw(st.integers(0, len(events) - 2))
    view = fold(VIEWS[name].evolve, events[:missing])
    with pytest.raises(VersionGap) as raised:
        VIEWS[name].evolve(view, events[missing + 1])
    assert raised.value.held_version == missing
    assert raised.value.event_version == missing + 2


@given(any_history)
def test_a_view_is_read_back_as_it_was_written(history: tuple[str, list[AnyEvent]]) -> None:
    name, events = history
    view = fold(VIEWS[name].evolve, events)
    slot = VIEWS[name].slot(events[0])
    write = VIEWS[name].writes(slot, view)[0]
    assert write.key == slot.key
    match write:
        case PutDocument(fields=fields, version=version):
            assert version == view.version == events[-1].originator_version
            assert VIEWS[name].load(slot, [fields.get(field) for field in slot.fields]) == view
        case PutLevel(field=field, level=level):
            assert slot.fields == (field,)
            assert level == view


@given(order_histories)
def test_an_order_says_what_its_aggregate_says(events: list[AnyEvent]) -> None:
    for length in range(1, len(events) + 1):
        page = fold(order.evolve, events[:length]).page
        aggregate = Order.replay(events[:length])
        assert page.version == aggregate.version
        assert page.status == aggregate.status
        assert page.payment.status == aggregate.payment_status
        assert page.payment.reference == aggregate.payment_reference
        assert page.placed_at == aggregate.placed_at
        assert [(c.status, c.at, c.by) for c in page.history] == [(c.status, c.at, c.by) for c in aggregate.history]
        assert [(s.shipment_id, s.status, s.carrier, s.tracking_number) for s in page.shipments] == [
            (s.shipment_id, s.status, s.carrier, s.tracking_number) for s in aggregate.shipments.values()
        ]
        assert [(r.return_id, r.status == "received", r.refund) for r in page.returns] == [
            (r.return_id, r.received, r.refund) for r in aggregate.returns.values()
        ]


@given(order_histories)
def test_an_order_reads_as_in_the_answers_of_commands(events: list[AnyEvent]) -> None:
    page = fold(order.evolve, events).page
    assert json.loads(msgspec.json.encode(page)) == json.loads(json.dumps(representations.order(Order.replay(events))))


@given(histories.cart_histories())
def test_a_cart_says_what_its_aggregate_says(events: list[AnyEvent]) -> None:
    for length in range(1, len(events) + 1):
        view, aggregate = fold(cart.evolve, events[:length]), Cart.replay(events[:length])
        assert view.lines == tuple(aggregate.lines.values())
        assert (view.cart_id, view.version) == (str(aggregate.id), aggregate.version)


@given(histories.stock_histories())
def test_a_stock_level_says_what_its_aggregate_says(events: list[AnyEvent]) -> None:
    for length in range(1, len(events) + 1):
        level, aggregate = fold(stock_level.evolve, events[:length]), StockItem.replay(events[:length])
        assert (level.on_hand, level.reserved, level.available) == (
            aggregate.on_hand,
            aggregate.reserved,
            aggregate.available,
        )
        assert level.available >= 0


@given(histories.product_histories())
def test_a_product_page_says_what_its_aggregate_says(events: list[AnyEvent]) -> None:
    view, aggregate = fold(product_page.evolve, events), Product.replay(events)
    page = view.page
    assert (page.title, page.category, page.price, view.kind) == (
        aggregate.details.title,
        aggregate.details.category,
        aggregate.price,
        aggregate.details.kind,
    )
    assert (page.status == "active") == aggregate.active
    assert page.rating == (None if aggregate.rating_hundredths is None else aggregate.rating_hundredths / 100)
    assert page.version == aggregate.version


def fold(evolve: Callable[[Any, AnyEvent], Any], events: Sequence[AnyEvent]) -> Any:
    view = None
    for event in events:
        view = evolve(view, event)
    return view
