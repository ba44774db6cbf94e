"""A shop in this process that is busy: so many commands a second, whatever happens to those who read its log."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from uuid_utils.compat import uuid7

from commandside.commands import (
    AddProduct,
    AddToCart,
    ChangeProduct,
    ChangeQuantity,
    CheckOut,
    CheckoutFields,
    DeliverShipment,
    PackShipment,
    ProductChanges,
    ReceiveStock,
    ShipShipment,
)
from commandside.commands.fields import AddressField, MoneyField
from commandside.event_store.postgres import PostgresEventStore
from commandside.handlers import cart, catalogue, inventory, orders
from commandside.handlers.context import Context
from commandside.write_side import WriteSide
from counterfoil import wiring
from counterfoil.settings import Settings
from domain.errors import DomainError
from domain.values import Cause
from tests.fakes.payments import FakePaymentProvider

SKUS: Final = tuple(f"SKU-{n:02d}" for n in range(20))
WAREHOUSES: Final = ("north", "south")
CUSTOMERS_COUNT: Final = 300
FIRST_UNITS: Final = 5_000
TOKENS: Final = ("tok_ok", "tok_ok", "tok_ok", "tok_ok", "tok_declined")
PLACED: Final = 201
AT_ONCE_LIMIT_COUNT: Final = 200
# A visit is about five commands, and every other one comes with something that an operator does.
COMMANDS_PER_VISIT_COUNT: Final = 5.5
ADDRESS: Final = AddressField(name="Ada", line1="1 Lamp Lane", city="London", postcode="N1 9GU", country="GB")


class Trade:
    """`done` counts the commands that were answered, by their kind, and those refused by a rule of the shop."""

    def __init__(self, write_side: WriteSide, seed: str) -> None:
        self.done: Counter[str] = Counter()
        self._side = write_side
        self._draw = random.Random(f"trade {seed}")  # noqa: S311 (the same every time)
        self._stopping = asyncio.Event()

    async def open(self) -> None:
        """Everything is in the catalogue, and in stock."""
        for n, sku in enumerate(SKUS):
            price = MoneyField(amount=100 + n, currency="GBP")
            product = AddProduct(sku=sku, title=f"A {sku}", category=("Home",), price=price)
            await self._side.execute(catalogue.add_product, product, self._context("operator:olga"))
            for warehouse_id in WAREHOUSES:
                received = ReceiveStock(sku=sku, warehouse_id=warehouse_id, quantity=FIRST_UNITS)
                await self._side.execute(inventory.receive_stock, received, self._context("operator:olga"))

    async def run(self, commands_per_second: float) -> None:
        """Until it is stopped, and all that was begun is done. Visits begin at an even pace; where too many are still
        going on, one is left out. Raises what a command raises that is no refusal."""
        pause_seconds = COMMANDS_PER_VISIT_COUNT / commands_per_second
        going_on: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        async with asyncio.TaskGroup() as visits:
            while not self._stopping.is_set():
                if len(going_on) < AT_ONCE_LIMIT_COUNT:
                    visit = visits.create_task(self._visit(), name="visit")
                    going_on.add(visit)
                    visit.add_done_callback(going_on.discard)
                due = max(due + pause_seconds, time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        self._stopping.set()

    @property
    def commands_count(self) -> int:
        return self.done.total()

    async def _visit(self) -> None:
        draw = self._draw
        owner = f"customer:{draw.randrange(CUSTOMERS_COUNT)}"
        try:
            for sku in draw.sample(SKUS, draw.randint(1, 3)):
                added = AddToCart(owner=owner, product_id=sku, quantity=draw.randint(1, 3))
                await self._side.execute_in_shop(cart.add_to_cart, added, self._context(owner))
                self.done["add"] += 1
            if draw.random() < 0.3:
                changed = ChangeQuantity(owner=owner, product_id=sku, quantity=draw.randint(0, 4))
                await self._side.execute_in_shop(cart.change_quantity, changed, self._context(owner))
                self.done["change"] += 1
            if draw.random() < 0.7:
                await self._check_out(owner, draw.choice(TOKENS))
            if draw.random() < 0.5:
                await self._operate()
        except DomainError:
            self.done["refused"] += 1

    async def _check_out(self, owner: str, token: str) -> None:
        order_id = uuid7()
        wanted = CheckoutFields(shipping_address=ADDRESS, payment_token=token)
        command = CheckOut(owner=owner, idempotency_key=str(order_id), order_id=order_id, wanted=wanted)
        answer = await self._side.saga.check_out(command, self._context(owner))
        self.done[f"checkout {answer.status}"] += 1
        if answer.status == PLACED and self._draw.random() < 0.4:
            operator = "operator:olga"
            packed = PackShipment(order_id=order_id, shipment_id="s1")
            await self._side.execute(orders.pack_shipment, packed, self._context(operator))
            shipped = ShipShipment(order_id=order_id, shipment_id="s1", carrier="post", tracking_number="T1")
            await self._side.execute(orders.ship_shipment, shipped, self._context(operator))
            delivered = DeliverShipment(order_id=order_id, shipment_id="s1")
            await self._side.execute(orders.deliver_shipment, delivered, self._context(operator))
            self.done["shipment"] += 3

    async def _operate(self) -> None:
        draw, sku = self._draw, self._draw.choice(SKUS)
        if draw.random() < 0.8:
            received = ReceiveStock(sku=sku, warehouse_id=draw.choice(WAREHOUSES), quantity=draw.randint(1, 9))
            await self._side.execute(inventory.receive_stock, received, self._context("operator:olga"))
            self.done["receive"] += 1
        else:
            price = MoneyField(amount=draw.randint(100, 999), currency="GBP")
            changed = ChangeProduct(sku=sku, changes=ProductChanges(price=price))
            await self._side.execute(catalogue.change_product, changed, self._context("operator:olga"))
            self.done["reprice"] += 1

    @staticmethod
    def _context(actor: str) -> Context:
        request_id = str(uuid7())
        return Context(Cause(datetime.now(UTC), actor, request_id, request_id))


@asynccontextmanager
async def a_trade(database_url: str, folder: Path, seed: str) -> AsyncIterator[Trade]:
    """The real write side on that database; its payments are made in memory."""
    store = PostgresEventStore(database_url)
    side = wiring.write_side(Settings(database_url=database_url, var=folder), store, FakePaymentProvider())
    try:
        await side.start()
        try:
            trade = Trade(side, seed)
            await trade.open()
            yield trade
        finally:
            await side.stop()
    finally:
        store.close()
