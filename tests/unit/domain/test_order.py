from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest

from domain.aggregates import Order
from domain.errors import InvalidTransition, NotFound, NotReturnable, RuleBroken
from domain.events.order import (
    OrderCancelled,
    OrderPaymentCaptured,
    OrderPaymentFailed,
    OrderPaymentReleased,
    OrderPlaced,
    OrderRefunded,
    ReturnReceived,
    ReturnRequested,
    ShipmentPacked,
)
from domain.pricing import Totals
from domain.values import Address, Item, Money, OrderLine, ShipmentPlan, StockClaim
from tests.spec import Given, event, given
from tests.strategies import START, cause

LAMPS = OrderLine("lamp", "Lamp", 3, Money(1_000, "GBP"))
WRAP = OrderLine("wrap", "Gift wrap", 1, Money(300, "GBP"), "service")
ADDRESS = Address("Ada", "1 High St", "Bath", "BA1", "GB")


def submitted(*lines: OrderLine, tax: int = 0, shipments: tuple[ShipmentPlan, ...] = ()) -> Given[Order]:
    subtotal = Money.total((line.line_total for line in lines), "GBP")
    fee, tax_on_top = Money(399, "GBP"), Money(tax, "GBP")
    totals = Totals(subtotal, fee, tax_on_top, subtotal + fee + tax_on_top)
    order = Order.submit(
        UUID(int=1), "customer:ada", UUID(int=2), lines, totals, ADDRESS, "standard", shipments, cause()
    )
    return given(order)


def placed(*lines: OrderLine, tax: int = 0) -> Given[Order]:
    """Two of the lamps come from the north, one from the south."""
    plans = (
        ShipmentPlan("s0", "north", (Item("lamp", 2),), START),
        ShipmentPlan("s1", "south", (Item("lamp", 1),), START),
    )
    order = submitted(*lines, tax=tax, shipments=plans if LAMPS in lines else ())
    order.when(lambda order: order.place("pay-1", True, cause(1)))
    return order


def shipped(*lines: OrderLine, tax: int = 0) -> Given[Order]:
    order = placed(*lines, tax=tax)
    for n in range(2):
        order.when(partial(Order.pack, shipment_id=f"s{n}", cause=cause(2)))
        order.when(partial(Order.ship, shipment_id=f"s{n}", carrier="post", tracking_number="T1", cause=cause(3)))
    return order


def test_an_order_is_paid_or_not_and_that_once() -> None:
    submitted(LAMPS).when(lambda order: order.place("pay-1", False, cause())).then(event(OrderPlaced))
    failed = submitted(LAMPS)
    failed.when(lambda order: order.fail_payment("declined", cause())).then(event(OrderPaymentFailed))
    failed.when(lambda order: order.place("pay-1", False, cause())).then_refused(
        InvalidTransition, current_status="payment_failed", wanted="placed"
    )
    placed(LAMPS).when(lambda order: order.fail_payment("declined", cause())).then_refused(InvalidTransition)


def test_what_is_held_is_taken_or_let_go_once() -> None:
    held = submitted(LAMPS)
    held.when(lambda order: order.capture_payment(order.totals.total, "pay-1", cause())).then_refused(
        InvalidTransition, current_status="pending", wanted="captured"
    )
    held.when(lambda order: order.place("pay-1", False, cause()))
    assert held.aggregate.payment_status == "authorised"
    held.when(lambda order: order.capture_payment(order.totals.total, "pay-1", cause())).then(
        event(OrderPaymentCaptured, amount=held.aggregate.totals.total, reference="pay-1")
    )
    held.when(lambda order: order.release_payment("pay-1", cause())).then_refused(
        InvalidTransition, current_status="captured", wanted="voided"
    )


def test_an_order_cancelled_before_its_money_was_taken_is_not_paid_for() -> None:
    order = submitted(LAMPS)
    order.when(lambda order: order.place("pay-1", False, cause()))
    order.when(lambda order: order.cancel("not wanted", cause()))
    order.when(lambda order: order.release_payment("pay-1", cause())).then(event(OrderPaymentReleased))
    assert (order.aggregate.status, order.aggregate.payment_status) == ("cancelled", "voided")


def test_the_least_advanced_shipment_speaks_for_the_order() -> None:
    order = placed(LAMPS)
    told = [order.aggregate.status]
    ship = partial(Order.ship, carrier="post", tracking_number="T1", cause=cause())
    pack, deliver = partial(Order.pack, cause=cause()), partial(Order.deliver, cause=cause())
    for step, n in ((pack, 0), (ship, 0), (pack, 1), (ship, 1), (deliver, 1), (deliver, 0)):
        order.when(partial(step, shipment_id=f"s{n}"))
        told.append(order.aggregate.status)

    assert told == ["placed", "processing", "processing", "packed", "shipped", "shipped", "delivered"]
    history = [change.status for change in order.aggregate.history]
    assert history == ["pending_payment", "placed", "processing", "packed", "shipped", "delivered"]


@pytest.mark.parametrize(
    ("step", "wanted"), [("ship", "shipped"), ("deliver", "delivered")], ids=["not packed", "not shipped"]
)
def test_a_shipment_skips_no_step(step: str, wanted: str) -> None:
    more = ("post", "T1") if step == "ship" else ()
    placed(LAMPS).when(lambda order: getattr(order, step)("s0", *more, cause())).then_refused(
        InvalidTransition, current_status="placed", wanted=wanted
    )


def test_a_shipment_that_is_not_the_orders() -> None:
    placed(LAMPS).when(lambda order: order.pack("s9", cause())).then_refused(NotFound, id="s9")


def test_an_order_can_be_cancelled_until_something_is_packed() -> None:
    order = placed(LAMPS)
    placed(LAMPS).when(lambda order: order.cancel(None, cause())).then(event(OrderCancelled, reason=None))
    order.when(lambda order: order.pack("s0", cause())).then(event(ShipmentPacked, shipment_id="s0"))
    order.when(lambda order: order.cancel(None, cause())).then_refused(InvalidTransition, current_status="processing")


def test_a_service_that_is_sent_back_is_not_cancelled_as_well() -> None:
    """Else its price would be promised twice, and a cancelled order would become a returned one."""
    order = placed(WRAP)
    order.when(lambda order: order.request_return("r1", [Item("wrap", 1)], "unwanted", cause())).then(
        event(ReturnRequested, refund=Money(699, "GBP"))
    )
    order.when(lambda order: order.cancel(None, cause())).then_refused(RuleBroken)


def test_only_what_has_left_can_be_sent_back() -> None:
    order = placed(LAMPS, WRAP)
    order.when(lambda order: order.pack("s0", cause()))
    order.when(lambda order: order.ship("s0", "post", "T1", cause()))

    order.when(lambda order: order.request_return("r1", [Item("lamp", 3)], "broken", cause())).then_refused(
        NotReturnable, product_id="lamp", requested=3, returnable=2
    )
    order.when(lambda order: order.request_return("r1", [Item("wrap", 1)], "broken", cause())).then_refused(
        NotReturnable, returnable=0
    )
    order.when(lambda order: order.request_return("r1", [Item("sofa", 1)], "broken", cause())).then_refused(
        NotFound, id="sofa"
    )


@pytest.mark.parametrize("items", [[], [Item("lamp", 0)], [Item("lamp", -1)]], ids=["none", "zero", "negative"])
def test_a_return_of_nothing_is_none(items: list[Item]) -> None:
    shipped(LAMPS).when(lambda order: order.request_return("r1", items, "?", cause())).then_refused(RuleBroken)


def test_a_return_keeps_its_id_to_itself() -> None:
    order = shipped(LAMPS)
    order.when(lambda order: order.request_return("r1", [Item("lamp", 1)], "broken", cause()))
    order.when(lambda order: order.request_return("r1", [Item("lamp", 1)], "broken", cause())).then_refused(
        RuleBroken, return_id="r1"
    )


def test_one_product_named_twice_counts_once() -> None:
    order = shipped(LAMPS)
    order.when(lambda order: order.request_return("r1", [Item("lamp", 1), Item("lamp", 1)], "?", cause())).then(
        event(ReturnRequested, items=(Item("lamp", 2),), refund=Money(2_000, "GBP"))
    )


def test_the_last_unit_brings_the_rest_of_the_total() -> None:
    # 3 x 1,000 and 399 for shipping and 500 tax: 166 of that for each lamp, rounded down.
    order = shipped(LAMPS, tax=500)
    order.when(lambda order: order.request_return("r1", [Item("lamp", 2)], "?", cause())).then(
        event(ReturnRequested, refund=Money(2_333, "GBP"))
    )
    order.when(lambda order: order.request_return("r2", [Item("lamp", 1)], "?", cause())).then(
        event(ReturnRequested, refund=Money(1_566, "GBP"))
    )
    assert order.aggregate.totals.total == Money(2_333 + 1_566, "GBP")


def test_what_came_back_whole_is_returned_and_then_refunded() -> None:
    order = shipped(LAMPS)
    order.when(lambda order: order.request_return("r1", [Item("lamp", 3)], "?", cause()))
    order.when(lambda order: order.receive_return("r1", cause())).then(event(ReturnReceived, return_id="r1"))
    assert order.aggregate.status == "returned"
    order.when(lambda order: order.receive_return("r1", cause())).then_nothing()
    order.when(lambda order: order.receive_return("r2", cause())).then_refused(NotFound, id="r2")

    refund = order.aggregate.returns["r1"].refund
    order.when(lambda order: order.refund("r1", refund, "back-1", cause())).then(event(OrderRefunded, amount=refund))
    assert (order.aggregate.status, order.aggregate.payment_status) == ("refunded", "refunded")
    order.when(lambda order: order.refund("r1", refund, "back-1", cause())).then_nothing()


def test_no_more_is_paid_back_than_was_paid() -> None:
    order = placed(LAMPS)
    order.when(lambda order: order.refund("a", Money(3_399, "GBP"), "back-1", cause())).then(event(OrderRefunded))
    order.when(lambda order: order.refund("b", Money(1, "GBP"), "back-2", cause())).then_refused(RuleBroken)


def test_goods_go_back_to_where_they_came_from() -> None:
    order = shipped(LAMPS)
    order.when(lambda order: order.request_return("r1", [Item("lamp", 1)], "?", cause()))
    assert order.aggregate.restock_claims([Item("lamp", 1)]) == (StockClaim("lamp", "north", 1),)
    order.when(lambda order: order.receive_return("r1", cause()))
    assert order.aggregate.restock_claims([Item("lamp", 2)]) == (
        StockClaim("lamp", "north", 1),
        StockClaim("lamp", "south", 1),
    )
