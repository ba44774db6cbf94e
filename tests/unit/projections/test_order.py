from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from domain.aggregates import Order
from domain.pricing import Totals
from domain.values import Address, Cause, Item, Money, OrderLine, ShipmentPlan
from projections import order
from projections.order import OrderView

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BY_ADA = Cause(AT, "customer:ada", "command-1", "conversation-1")
BY_BO = Cause(AT + timedelta(hours=1), "operator:bo", "command-2", "conversation-2")


def gbp(amount: int) -> Money:
    return Money(amount, "GBP")


@pytest.fixture
def submitted() -> Order:
    """Two lamps from the north, one chair from the south: 2 x 10.00 + 5.00, and 3.00 to send them."""
    return Order.submit(
        UUID(int=7),
        "customer:ada",
        UUID(int=8),
        (OrderLine("lamp", "Lamp", 2, gbp(1000)), OrderLine("chair", "Chair", 1, gbp(500))),
        Totals(gbp(2500), gbp(300), gbp(0), gbp(2800)),
        Address("Ada", "1 Lane", "Leeds", "LS1", "GB"),
        "standard",
        (
            ShipmentPlan("s1", "north", (Item("lamp", 2),), AT + timedelta(days=3)),
            ShipmentPlan("s2", "south", (Item("chair", 1),), AT + timedelta(days=3)),
        ),
        BY_ADA,
    )


@pytest.fixture
def placed(submitted: Order) -> Order:
    submitted.place("pay-1", True, BY_ADA)
    return submitted


@pytest.fixture
def shipped(placed: Order) -> Order:
    for shipment_id in ("s1", "s2"):
        placed.pack(shipment_id, BY_BO)
        placed.ship(shipment_id, "post", f"T-{shipment_id}", BY_BO)
    return placed


def test_submitted_it_waits_for_its_payment(submitted: Order) -> None:
    page = view_of(submitted).page
    assert page.status == "pending_payment"
    assert page.payment == order.Payment("pending", None)
    assert page.placed_at is None
    assert [item.line_total for item in page.items] == [gbp(2000), gbp(500)]


def test_placed_it_has_its_time_and_reference(placed: Order) -> None:
    page = view_of(placed).page
    assert page.status == "placed"
    assert page.payment == order.Payment("captured", "pay-1")
    assert page.placed_at == AT


def test_a_failed_payment_ends_it(submitted: Order) -> None:
    submitted.fail_payment("declined", BY_ADA)
    page = view_of(submitted).page
    assert (page.status, page.payment.status) == ("payment_failed", "failed")


def test_the_first_packed_shipment_puts_the_other_into_processing(placed: Order) -> None:
    placed.pack("s2", BY_BO)
    page = view_of(placed).page
    assert {s.shipment_id: s.status for s in page.shipments} == {"s1": "processing", "s2": "packed"}
    assert page.status == "processing"


def test_the_least_advanced_shipment_speaks_for_the_order(shipped: Order) -> None:
    shipped.deliver("s1", BY_BO)
    assert view_of(shipped).page.status == "shipped"
    shipped.deliver("s2", BY_BO)
    assert view_of(shipped).page.status == "delivered"


def test_history_has_each_change_of_status_once_and_who_made_it(shipped: Order) -> None:
    history = view_of(shipped).page.history
    assert [(change.status, change.by) for change in history] == [
        ("pending_payment", "customer:ada"),
        ("placed", "customer:ada"),
        ("processing", "operator:bo"),
        ("packed", "operator:bo"),
        ("shipped", "operator:bo"),
    ]
    assert history[2].at == BY_BO.at


def test_a_cancelled_order_stays_cancelled_when_its_money_goes_back(placed: Order) -> None:
    placed.cancel("changed my mind", BY_ADA)
    placed.refund("cancellation", gbp(2800), "refund-1", BY_BO)
    page = view_of(placed).page
    assert (page.status, page.payment.status) == ("cancelled", "refunded")


def test_returned_in_part_it_is_still_shipped(shipped: Order) -> None:
    shipped.request_return("r1", [Item("lamp", 1)], "broken", BY_ADA)
    shipped.receive_return("r1", BY_BO)
    shipped.refund("r1", gbp(1000), "refund-1", BY_BO)
    page = view_of(shipped).page
    assert (page.status, page.payment.status) == ("shipped", "partially_refunded")
    assert [(r.return_id, r.status, r.refund) for r in page.returns] == [("r1", "received", gbp(1000))]


def test_returned_whole_it_is_returned_and_then_refunded(shipped: Order) -> None:
    shipped.request_return("r1", [Item("lamp", 2)], "broken", BY_ADA)
    shipped.request_return("r2", [Item("chair", 1)], "ugly", BY_ADA)
    assert view_of(shipped).page.status == "shipped"
    shipped.receive_return("r1", BY_BO)
    shipped.receive_return("r2", BY_BO)
    assert view_of(shipped).page.status == "returned"
    for return_id in ("r1", "r2"):
        shipped.refund(return_id, shipped.find_return(return_id).refund, "refund", BY_BO)
    page = view_of(shipped).page
    assert (page.status, page.payment.status) == ("refunded", "refunded")
    assert [change.status for change in page.history][-2:] == ["returned", "refunded"]


def test_an_event_of_a_shipment_that_is_not_there_cannot_be_applied(placed: Order) -> None:
    view = view_of(placed)
    placed.pack("s1", BY_BO)
    stranger = placed.pending_events[-1]
    object.__setattr__(stranger, "shipment_id", "s9")
    with pytest.raises(KeyError):
        order.evolve(view, stranger)  # type: ignore[arg-type]


def test_what_is_null_is_left_out_where_it_is_optional(placed: Order) -> None:
    page = json.loads(msgspec.json.encode(view_of(placed).page))
    assert list(page["shipping_address"]) == ["name", "line1", "city", "postcode", "country"]
    assert list(page["shipments"][0]) == ["shipment_id", "warehouse_id", "status", "estimated_delivery", "items"]
    assert list(page) == [
        "order_id", "version", "status", "items", "subtotal", "shipping_fee", "tax", "total", "payment",
        "shipping_address", "shipping_method", "shipments", "returns", "placed_at", "history",
    ]  # fmt: skip
    assert page["placed_at"] == "2026-03-01T12:00:00Z"


def view_of(aggregate: Order) -> OrderView:
    view = None
    for event in aggregate.pending_events:
        view = order.evolve(view, event)  # type: ignore[arg-type]
    assert view is not None
    return view
