"""An order from its submission to its last refund, whatever the order of commands."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.aggregates import Order
from domain.aggregates.order import OrderStatus
from domain.errors import InvalidTransition, NotFound, NotReturnable, RuleBroken
from domain.events.order import ReturnReceived
from domain.pricing import Totals
from domain.values import Address, Item, Money, OrderLine, ShipmentPlan
from tests.properties.live_aggregate import LiveAggregate
from tests.strategies import START, cause, order_lines, pounds

WAREHOUSES = ("north", "south", "east")
# What the contract's state machine has. Straight to packed: there was one shipment, or all the others were packed.
NEXT: dict[str, set[str]] = {
    "pending_payment": {"placed", "payment_failed", "cancelled"},
    "placed": {"processing", "packed", "cancelled", "returned"},  # returned: services alone are never packed
    "processing": {"packed"},
    "packed": {"shipped"},
    "shipped": {"delivered", "returned"},
    "delivered": {"returned"},
    "returned": {"refunded"},
    "cancelled": set(),
    "payment_failed": set(),
    "refunded": set(),
}
PROGRESS = ("placed", "processing", "packed", "shipped", "delivered")
shipment_numbers = st.integers(0, 3)
return_ids = st.sampled_from(["return-1", "return-2", "return-3"])


def units(items: tuple[Item, ...] | tuple[OrderLine, ...]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for item in items:
        counted[item.product_id] += item.quantity
    return counted


def ensure_invariants(order: Order) -> None:
    totals = order.totals
    assert totals.subtotal.amount == sum(line.line_total.amount for line in order.lines)
    assert totals.total == totals.subtotal + totals.shipping_fee + totals.tax
    assert order.refunded <= totals.total
    if order.standing == "placed" and order.shipments:
        assert order.status == min((s.status for s in order.shipments.values()), key=PROGRESS.index)
    ensure_history(order)
    ensure_returns(order)


def ensure_history(order: Order) -> None:
    """It begins with the payment, ends with what is now, and every step in it is one that there is."""
    told = [change.status for change in order.history]
    assert told[0] == "pending_payment"
    assert told[-1] == order.status
    assert all(after in NEXT[before] for before, after in pairwise(told)), told
    assert len(set(told)) == len(told), "no status comes twice"


def ensure_returns(order: Order) -> None:
    sent_back = sum((units(r.items) for r in order.returns.values()), Counter[str]())
    left = sum((units(s.items) for s in order.shipments.values() if s.left), Counter[str]())
    services = units(tuple(line for line in order.lines if line.kind == "service"))
    assert sent_back <= left + services
    promised = sum(r.refund.amount for r in order.returns.values())
    assert 0 <= promised <= order.totals.total.amount
    if sent_back == units(order.lines):
        assert promised == order.totals.total.amount, "all of it back, all of it paid back"


class OrderMachine(RuleBasedStateMachine):
    order: LiveAggregate[Order]
    progress: list[str]

    @initialize(
        lines=order_lines(),
        fee=pounds,
        tax=pounds,
        parcels_count=st.integers(1, 3),
        so_far=st.sampled_from(["submitted", "placed", "shipped"]),
    )
    def submit(self, lines: tuple[OrderLine, ...], fee: Money, tax: Money, parcels_count: int, so_far: str) -> None:
        subtotal = Money(sum(line.quantity * line.unit_price.amount for line in lines), "GBP")
        plans = tuple(self.plans(lines, parcels_count))
        self.order = LiveAggregate(
            Order.submit(
                UUID(int=1),
                "customer:ada",
                UUID(int=2),
                lines,
                Totals(subtotal, fee, tax, subtotal + fee + tax),
                Address("Ada", "1 High St", "Bath", "BA1", "GB"),
                "standard",
                plans,
                cause(),
            )
        )
        self.standing = "pending_payment"
        self.payment = "pending"
        self.progress = ["placed"] * len(plans)
        self.parcels = [units(plan.items) for plan in plans]
        self.services = units(tuple(line for line in lines if line.kind == "service"))
        self.returns: dict[str, Counter[str]] = {}
        self.received: set[str] = set()
        self.restocked: list[Counter[str]] = [Counter() for _ in plans]
        self.refunds: dict[str, int] = {}
        # Chance alone would seldom get as far as to where the rules have something to say.
        if so_far != "submitted":
            self.place()
        if so_far == "shipped":
            self.pack_and_ship_everything()

    @staticmethod
    def plans(lines: tuple[OrderLine, ...], parcels_count: int) -> list[ShipmentPlan]:
        """The units of the goods dealt out to the warehouses in turn."""
        parcels: list[Counter[str]] = [Counter() for _ in range(parcels_count)]
        goods = [line.product_id for line in lines if line.kind == "goods" for _ in range(line.quantity)]
        for n, sku in enumerate(goods):
            parcels[n % parcels_count][sku] += 1
        return [
            ShipmentPlan(f"s{n}", WAREHOUSES[n], tuple(Item(sku, count) for sku, count in parcel.items()), START)
            for n, parcel in enumerate(parcels)
            if parcel
        ]

    @property
    def returnable(self) -> Counter[str]:
        if self.standing != "placed":
            return Counter()
        gone = [parcel for parcel, at in zip(self.parcels, self.progress, strict=True) if at in PROGRESS[3:]]
        there = sum(gone, Counter[str]()) + (self.services if len(gone) == len(self.parcels) else Counter())
        return there - sum(self.returns.values(), Counter[str]())

    @rule(captured=st.booleans())
    def place(self, captured: bool = True) -> None:
        outcome = self.order.when(lambda order: order.place("pay-1", captured, cause()))
        if self.standing == "pending_payment":
            self.standing = "placed"
            self.payment = "captured" if captured else "authorised"
        else:
            outcome.then_refused(InvalidTransition, wanted="placed")

    @rule()
    def capture_payment(self) -> None:
        outcome = self.order.when(lambda order: order.capture_payment(order.totals.total, "pay-1", cause()))
        if self.payment == "authorised":
            self.payment = "captured"
        else:
            outcome.then_refused(InvalidTransition, wanted="captured")

    @rule()
    def release_payment(self) -> None:
        outcome = self.order.when(lambda order: order.release_payment("pay-1", cause()))
        if self.payment == "authorised":
            self.payment = "voided"
        else:
            outcome.then_refused(InvalidTransition, wanted="voided")

    @rule()
    def fail_payment(self) -> None:
        outcome = self.order.when(lambda order: order.fail_payment("declined", cause()))
        if self.standing == "pending_payment":
            self.standing = "payment_failed"
        else:
            outcome.then_refused(InvalidTransition, wanted="payment_failed")

    @rule(n=shipment_numbers)
    def pack(self, n: int) -> None:
        outcome = self.order.when(lambda order: order.pack(f"s{n}", cause()))
        if n >= len(self.progress):
            outcome.then_refused(NotFound, id=f"s{n}")
        elif self.standing != "placed" or self.progress[n] not in ("placed", "processing"):
            outcome.then_refused(InvalidTransition, wanted="packed")
        else:
            self.progress = ["processing" if at == "placed" else at for at in self.progress]
            self.progress[n] = "packed"

    @rule(n=shipment_numbers)
    def ship(self, n: int) -> None:
        outcome = self.order.when(lambda order: order.ship(f"s{n}", "post", "T1", cause()))
        if n >= len(self.progress):
            outcome.then_refused(NotFound, id=f"s{n}")
        elif self.standing != "placed" or self.progress[n] != "packed":
            outcome.then_refused(InvalidTransition, wanted="shipped")
        else:
            self.progress[n] = "shipped"
            assert self.order.now.shipments[f"s{n}"].tracking_number == "T1"

    @rule(n=shipment_numbers)
    def deliver(self, n: int) -> None:
        outcome = self.order.when(lambda order: order.deliver(f"s{n}", cause()))
        if n >= len(self.progress):
            outcome.then_refused(NotFound, id=f"s{n}")
        elif self.standing != "placed" or self.progress[n] != "shipped":
            outcome.then_refused(InvalidTransition, wanted="delivered")
        else:
            self.progress[n] = "delivered"

    def pack_and_ship_everything(self) -> None:
        for n in range(len(self.progress)):
            self.pack(n)
            self.says_what_the_model_says()
            self.ship(n)

    @rule()
    def cancel(self) -> None:
        outcome = self.order.when(lambda order: order.cancel("changed my mind", cause()))
        if self.standing not in ("pending_payment", "placed") or set(self.progress) - {"placed"}:
            outcome.then_refused(InvalidTransition, wanted="cancelled")
        elif self.returns:
            outcome.then_refused(RuleBroken)
        else:
            self.standing = "cancelled"

    @rule(return_id=return_ids, sku=st.sampled_from(["lamp", "chair", "postage"]), quantity=st.integers(-1, 21))
    def send_back(self, return_id: str, sku: str, quantity: int) -> None:
        returnable = self.returnable[sku]
        outcome = self.order.when(
            lambda order: order.request_return(return_id, [Item(sku, quantity)], "broken", cause())
        )
        if return_id in self.returns or quantity < 1:
            outcome.then_refused(RuleBroken)
        elif sku not in units(self.order.now.lines):
            outcome.then_refused(NotFound, id=sku)
        elif quantity > returnable:
            outcome.then_refused(NotReturnable, product_id=sku, requested=quantity, returnable=returnable)
        else:
            self.returns[return_id] = Counter({sku: quantity})

    @rule(return_id=return_ids)
    def send_all_back(self, return_id: str) -> None:
        everything = self.returnable
        items = [Item(sku, quantity) for sku, quantity in everything.items()]
        outcome = self.order.when(lambda order: order.request_return(return_id, items, "all of it", cause()))
        if return_id in self.returns or not items:
            outcome.then_refused(RuleBroken)
        else:
            self.returns[return_id] = everything

    @rule(return_id=return_ids)
    def receive_return(self, return_id: str) -> None:
        self.take_stock_back(return_id)
        outcome = self.order.when(lambda order: order.receive_return(return_id, cause()))
        if return_id not in self.returns:
            outcome.then_refused(NotFound, id=return_id)
        elif return_id in self.received:
            outcome.then_nothing()
        else:
            self.received.add(return_id)
            back = sum((self.returns[one] for one in self.received), Counter[str]())
            if back == units(self.order.now.lines):
                # Where there was nothing to pay, or it was paid back before, there is nothing left to wait for.
                paid_back = sum(self.refunds.values()) == self.order.now.totals.total.amount
                self.standing = "refunded" if paid_back else "returned"

    def take_stock_back(self, return_id: str) -> None:
        """As the handler does, before the return is received: goods go where they came from, and no more than came."""
        if return_id in self.returns and return_id not in self.received:
            items = self.order.now.returns[return_id].items
            taken: Counter[str] = Counter()
            for claim in self.order.now.restock_claims(items):
                taken[claim.sku] += claim.quantity
                self.restocked[WAREHOUSES.index(claim.warehouse_id)][claim.sku] += claim.quantity
            assert taken == units(tuple(item for item in items if item.product_id != "postage"))
            assert all(back <= sent for back, sent in zip(self.restocked, self.parcels, strict=True))

    @rule(refund_id=return_ids, amount=pounds)
    def refund(self, refund_id: str, amount: Money) -> None:
        self.pay_back(refund_id, amount)

    @rule()
    def refund_the_rest(self) -> None:
        self.pay_back("the-rest", self.order.now.totals.total - self.order.now.refunded)

    def pay_back(self, refund_id: str, amount: Money) -> None:
        total = self.order.now.totals.total.amount
        outcome = self.order.when(lambda order: order.refund(refund_id, amount, "back-1", cause()))
        if refund_id in self.refunds:
            outcome.then_nothing()
        elif sum(self.refunds.values()) + amount.amount > total:
            outcome.then_refused(RuleBroken)
        else:
            self.refunds[refund_id] = amount.amount
            if self.standing == "returned" and sum(self.refunds.values()) == total:
                self.standing = "refunded"

    @invariant()
    def says_what_the_model_says(self) -> None:
        order = self.order.now
        assert order.standing == self.standing
        assert [shipment.status for shipment in order.shipments.values()] == self.progress
        least = min(self.progress, key=PROGRESS.index, default="placed")
        assert order.status == (least if self.standing == "placed" else self.standing)
        assert order.refunded.amount == sum(self.refunds.values())
        assert +order.returnable == self.returnable
        assert {one for one, r in order.returns.items() if r.received} == self.received
        assert sum(isinstance(event, ReturnReceived) for event in self.order.past) == len(self.received)

    @invariant()
    def what_the_payment_came_to(self) -> None:
        order, back = self.order.now, sum(self.refunds.values())
        if self.standing in ("pending_payment", "payment_failed") or order.payment_reference is None:
            assert order.payment_status == ("pending" if self.standing == "pending_payment" else "failed")
        elif self.payment != "captured" or back == 0:
            assert order.payment_status == self.payment
        else:
            assert order.payment_status == ("refunded" if back == order.totals.total.amount else "partially_refunded")

    @invariant()
    def holds_now_and_after_a_replay(self) -> None:
        ensure_invariants(self.order.now)
        self.order.ensure_replay_is_the_same()

    def teardown(self) -> None:
        if hasattr(self, "order"):
            self.order.ensure_of_every_prefix(ensure_invariants)


TestOrder = OrderMachine.TestCase


@pytest.mark.parametrize("paid_back_before", [False, True], ids=["nothing to pay", "paid back before"])
def test_all_of_it_back_and_nothing_left_to_pay_back(paid_back_before: bool) -> None:
    pence = 100 if paid_back_before else 0
    machine = OrderMachine()
    lamp, nothing = OrderLine("lamp", "Lamp", 1, Money(pence, "GBP"), "goods"), Money(0, "GBP")
    machine.submit(lines=(lamp,), fee=nothing, tax=nothing, parcels_count=1, so_far="shipped")
    if paid_back_before:
        machine.refund_the_rest()
    machine.send_all_back("return-1")
    machine.receive_return("return-1")
    machine.says_what_the_model_says()
    machine.holds_now_and_after_a_replay()
    assert machine.standing == "refunded"


def test_every_status_is_in_the_state_machine() -> None:
    statuses = {status for part in get_args(OrderStatus) for status in (get_args(part) or (part,))}
    assert set(NEXT) == statuses
