"""Hypothesis strategies: values, whole events of every kind, and legal histories of every aggregate.

Histories are what aggregates make of random commands (see tests/histories.py); events are made from the types of their
fields, with no regard for whether anything could have caused them.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from hypothesis import strategies as st

from domain.aggregates import (
    Allowance,
    Cart,
    Checkout,
    EventSourced,
    Order,
    Product,
    Receipt,
    StockItem,
    StockLocations,
)
from domain.events import EVENT_TYPES, AnyEvent
from domain.values import Cause, Item, Money, OrderLine, StockClaim
from tests import histories
from tests.spec import happened_to

E = TypeVar("E", bound=AnyEvent)
SKUS = histories.SKUS
START = histories.START
# What a signed 64-bit column and the JSON of the log hold.
INTEGER_LIMIT = 2**63 - 1

causes = histories.causes()
currencies = st.sampled_from(["GBP", "EUR", "JPY"])
amounts = st.integers(-(10**15), 10**15)
money = st.builds(Money, amounts, currencies)
pounds = st.integers(0, 10**9).map(lambda amount: Money(amount, "GBP"))
quantities = st.integers(1, 20)


def cause(minutes: float = 0, actor: str = "customer:ada") -> Cause:
    """One that is told apart by its time only: so many minutes after START."""
    return Cause(START + timedelta(minutes=minutes), actor, "command-1", "conversation-1")


@st.composite
def order_lines(draw: st.DrawFn, currency: str = "GBP", least_count: int = 1) -> tuple[OrderLine, ...]:
    """At most one line per SKU; postage is a service."""
    skus = draw(st.lists(st.sampled_from(SKUS), min_size=least_count, unique=True))
    return tuple(
        OrderLine(
            sku,
            sku.title(),
            draw(quantities),
            Money(draw(st.integers(0, 10**7)), currency),
            "service" if sku == "postage" else "goods",
        )
        for sku in skus
    )


@lru_cache(maxsize=len(EVENT_TYPES))
def events(event_class: type[E]) -> st.SearchStrategy[E]:
    """Events of one class with anything in their fields that the fields' types allow."""
    return _instances(event_class, originator_id=st.uuids(), originator_version=st.integers(1, INTEGER_LIMIT))


@st.composite
def checkout_histories(draw: st.DrawFn) -> list[AnyEvent]:
    amount = draw(pounds)
    checkout = Checkout.start(
        draw(st.uuids()),
        "customer:ada",
        (Item("lamp", 2),),
        (StockClaim("lamp", "north", 2),),
        amount,
        "tok_ok",
        draw(st.uuids()),
        resume_after=START + timedelta(seconds=15),
        expires_at=START + timedelta(minutes=10),
        cause=draw(causes),
    )
    refund_ids = st.sampled_from(["cancel", "return-1", "late"])
    later = histories.instants

    def make_refunds() -> None:
        for refund_id in checkout.refunds:
            checkout.refund_made(refund_id, "back-1", draw(causes))

    return _after(
        draw,
        checkout,
        [
            lambda: checkout.use_allowances(draw(st.sampled_from([(), ("lamp",)])), draw(causes)),
            lambda: checkout.defer_payment("pay-1", draw(later), draw(causes)),
            lambda: checkout.complete("pay-1", draw(st.none() | later), draw(causes)),
            lambda: checkout.capture("pay-1", checkout.amount_to_capture, draw(causes)),
            lambda: checkout.release_payment("pay-1", draw(causes)),
            lambda: checkout.refuse_capture("not_authorised", draw(causes)),
            lambda: checkout.decline("no", draw(causes)),
            lambda: checkout.expire(draw(st.booleans()), draw(later), draw(causes)),
            lambda: checkout.payment_voided(draw(causes)),
            lambda: checkout.request_refund(
                draw(refund_ids), Money(draw(st.integers(0, amount.amount)), "GBP"), "why", draw(later), draw(causes)
            ),
            make_refunds,
            lambda: checkout.postpone("away", draw(later), draw(causes)),
        ],
    )


@st.composite
def receipt_histories(draw: st.DrawFn) -> list[AnyEvent]:
    receipt = Receipt.open("customer:ada", draw(st.text(min_size=1)), draw(st.text()), "order-1", draw(causes))
    ttl = timedelta(hours=1)
    return _after(
        draw,
        receipt,
        [
            lambda: receipt.answer(draw(st.integers(200, 599)), draw(st.text()), draw(causes)),
            lambda: receipt.reopen(draw(st.text()), draw(st.sampled_from(["order-2", "order-3"])), ttl, draw(causes)),
        ],
    )


@st.composite
def allowance_histories(draw: st.DrawFn) -> list[AnyEvent]:
    allowance = Allowance.open("customer:ada", "lamp", draw(causes))
    order_ids = st.sampled_from(["order-1", "order-2", "order-3"])
    return _after(
        draw,
        allowance,
        [
            lambda: allowance.take(draw(order_ids), draw(st.integers(0, 3)), draw(st.integers(1, 5)), draw(causes)),
            lambda: allowance.give_back(draw(order_ids), draw(causes)),
        ],
    )


@st.composite
def stock_locations_histories(draw: st.DrawFn) -> list[AnyEvent]:
    warehouses = st.sampled_from(["north", "south", "east"])
    locations = StockLocations.open("lamp", draw(warehouses), draw(causes))
    return _after(draw, locations, [lambda: locations.add(draw(warehouses), draw(causes))])


HISTORIES: dict[type[EventSourced], st.SearchStrategy[list[AnyEvent]]] = {
    Product: histories.product_histories(),
    StockItem: histories.stock_histories(),
    StockLocations: stock_locations_histories(),
    Cart: histories.cart_histories(),
    Order: histories.orders().map(histories.pending),
    Checkout: checkout_histories(),
    Receipt: receipt_histories(),
    Allowance: allowance_histories(),
}


def _after(draw: st.DrawFn, aggregate: EventSourced, commands: list[Callable[[], Any]]) -> list[AnyEvent]:
    past = aggregate.collect_events()
    for n in draw(st.lists(st.sampled_from(range(len(commands))), max_size=histories.COMMANDS_LIMIT_COUNT)):
        past += happened_to(aggregate, commands[n]).events
    return past


def _instances(cls: type[Any], **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    unknown = {field.name: _values(hints[field.name]) for field in fields(cls) if field.name not in known}
    return st.builds(cls, **known, **unknown)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([_values(argument) for argument in arguments])
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(_values(arguments[0]), _values(arguments[1]), max_size=3)
    if is_dataclass(hint) and isinstance(hint, type):
        return _instances(hint)
    return _SIMPLE[hint]


_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(-INTEGER_LIMIT, INTEGER_LIMIT),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    UUID: st.uuids(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
}
