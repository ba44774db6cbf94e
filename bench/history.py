"""The events that a shop's day makes: from our own handlers, in memory, so that they are what is stored in truth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID, uuid5

from uuid_utils.compat import uuid7

from bench.ours import a_cause
from commandside.commands import AddProduct, AddToCart, CheckOut, CheckoutFields, ReceiveStock
from commandside.commands.fields import AddressField, MoneyField
from commandside.event_store.memory import MemoryEventStore
from commandside.handlers import cart, catalogue, inventory
from commandside.handlers.context import Context, Shop
from commandside.payments.port import Authorised, Captured
from commandside.saga import concluding
from commandside.saga.starting import Started, Terms, start
from commandside.writer import Writer
from domain.events import AnyEvent
from domain.pricing import ShippingMethod, Tariff

SKUS = tuple(f"LAMP-{number}" for number in range(10))
ORDERS_COUNT = 50
UNITS = 100_000
SHOP = Shop("GBP", Tariff({"standard": ShippingMethod("standard", 0, 5)}, "standard", 0))
TERMS = Terms(timedelta(minutes=10), timedelta(seconds=15), timedelta(hours=24))


def history(events_count: int) -> Iterator[AnyEvent]:
    """So many events: products, stock, carts, checkouts and orders, over and over on new streams."""
    events = day()
    return islice((_moved(event, copy) for copy in range(events_count) for event in events), events_count)


def day() -> list[AnyEvent]:
    """Products, stock, carts, checkouts and orders."""
    return asyncio.run(_day())


async def _day() -> list[AnyEvent]:
    store = MemoryEventStore()
    writer = Writer(store)
    await writer.start()
    try:
        for sku in SKUS:
            await _trade(writer, sku)
        for number in range(ORDERS_COUNT):
            await _order(writer, f"customer:{number}", [SKUS[(number + step) % len(SKUS)] for step in range(3)])
    finally:
        await writer.stop()
    return [recorded.event for recorded in store.log()]


async def _trade(writer: Writer, sku: str) -> None:
    product = AddProduct(
        sku=sku,
        title="A lamp of brass and oak",
        description="Three metres of flex, a bayonet fitting and a shade of linen. " * 3,
        brand="Green & Daughters",
        category=("Home", "Lamps"),
        price=MoneyField(amount=1_999, currency="GBP"),
        attributes={"colour": "brass", "weight_grams": 1_850},
        images=("https://images.example/lamp/1.jpg", "https://images.example/lamp/2.jpg"),
    )
    await writer.execute(partial(catalogue.add_product, command=product, context=Context(a_cause())))
    received = ReceiveStock(sku=sku, warehouse_id="main", quantity=UNITS)
    await writer.execute(partial(inventory.receive_stock, command=received, context=Context(a_cause())))


async def _order(writer: Writer, owner: str, skus: list[str]) -> None:
    for sku in skus:
        added = AddToCart(owner=owner, product_id=sku, quantity=1)
        await writer.execute(partial(cart.add_to_cart, command=added, context=Context(a_cause()), shop=SHOP))
    wanted = CheckoutFields(
        shipping_address=AddressField(
            name="Ada Green", line1="1 Lamp Lane", city="London", postcode="N1 9GU", country="GB"
        ),
        payment_token="tok_ok",
    )
    order_id = uuid7()
    command = CheckOut(owner=owner, idempotency_key=str(order_id), order_id=order_id, wanted=wanted)
    context = Context(a_cause())
    started = await writer.execute(partial(start, command=command, context=context, shop=SHOP, terms=TERMS))
    paid = replace(context.cause, at=datetime.now(UTC))
    held = Authorised(f"pay_{order_id}")
    assert isinstance(started.result, Started), "nothing stands in its way"
    taken = Captured(held.reference, started.result.amount)
    await writer.execute(partial(concluding.place, order_id=order_id, payment=held, cause=paid))
    await writer.execute(partial(concluding.capture, order_id=order_id, payment=taken, cause=paid))


def _moved(event: AnyEvent, copy: int) -> AnyEvent:
    """The same event on another stream."""
    moved: Any = object.__new__(type(event))
    moved.__dict__.update(event.__dict__, originator_id=_stream(event.originator_id, copy))
    return moved  # type: ignore[no-any-return]


def _stream(stream_id: UUID, copy: int) -> UUID:
    return uuid5(stream_id, str(copy))
