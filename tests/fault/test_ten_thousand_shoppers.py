"""10,000 shoppers for the last 100 units, 256 at a time, over HTTP; the command API is killed twice meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.client import ADDRESS, Client, given_product
from tests.e2e.running_shop import RunningShop, a_shop
from tests.fault.accounts import Accounts
from tests.fault.asking import Door, Person, Told, person
from tests.fault.ledger import read_ledger
from tests.fault.provider_books import Payment, ensure_kept_for, settled_payments
from tests.fault.records import Purchase
from tests.fault.runs import until_all_has_ended
from tests.waiting import eventually

SKU: Final = "LAST"
PRICE_MINOR: Final = 1_999
AT_ONCE_COUNT: Final = 256
ANSWER_TIMEOUT_SECONDS: Final = 60
PAUSE_SECONDS: Final = 0.3
TOLD_WITHIN_SECONDS: Final = 180
ENDED_WITHIN_SECONDS: Final = 70


@dataclass
class Sale:
    """Everybody has one in the cart before anybody pays: whoever comes to pay wants what may still be there."""

    shop: RunningShop
    shoppers_count: int
    units_count: int
    purchases: list[Purchase] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    _under_way: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_COUNT))
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self, kill_at: tuple[int, ...]) -> None:
        """The command API is killed when so many have been told how it ended for them."""
        people = [person(f"shopper-{number}") for number in range(self.shoppers_count)]
        async with Door(self.shop.command_url, answer_timeout_seconds=ANSWER_TIMEOUT_SECONDS) as door:
            await asyncio.gather(*(self._fill_the_cart(door, who) for who in people))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._kill(kill_at))
                for who in people:
                    group.create_task(self._pay(door, who))

    async def _fill_the_cart(self, door: Door, who: Person) -> None:
        async with self._under_way:
            told = await door.ask(who, "POST", "/v1/cart/items", {"product_id": SKU, "quantity": 1})
            assert told.status == 200, told

    async def _pay(self, door: Door, who: Person) -> None:
        purchase = Purchase(who.name, f"key-of-{who.name}", {SKU: 1}, "tok_ok")
        self.purchases.append(purchase)
        async with self._under_way, asyncio.timeout(TOLD_WITHIN_SECONDS):
            body = {"shipping_address": ADDRESS, "payment_token": purchase.token}
            told = await insist(door, who, "POST", "/v1/checkout", body, purchase.asked, purchase.key)
            if told.status == 202:
                told = await self._follow(door, purchase)
        async with self._changed:
            self.told[says(told)] += 1
            self._changed.notify_all()

    async def _follow(self, door: Door, purchase: Purchase) -> Told:
        auditor = person("ada", "auditor")
        while purchase.outcome == "":
            await insist(door, auditor, "GET", f"/v1/audit/order/{purchase.order_id}", None, purchase.followed)
            await asyncio.sleep(PAUSE_SECONDS)
        return purchase.followed[-1]

    async def _kill(self, kill_at: tuple[int, ...]) -> None:
        killed = 0
        for count in kill_at:
            await self._until_told(count)
            killed = await self._pid_other_than(killed)
            os.kill(killed, signal.SIGKILL)

    async def _until_told(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.told.total() >= count)

    async def _pid_other_than(self, killed: int) -> int:
        return await eventually(self._pid, lambda pid: pid not in (0, killed))

    async def _pid(self) -> int:
        return self.shop.pids().get("command-api", 0)

    def ensure_exact(self, accounts: Accounts, payments: list[Payment]) -> None:
        """So many placed and charged as there were units; every other shopper told why."""
        others = self.shoppers_count - self.units_count
        assert self.told == {"placed": self.units_count, f"none of {SKU} left": others}, self.told
        placed = [order for order in accounts.orders.values() if order.standing == "placed"]
        assert len(placed) == self.units_count
        due = {order.order_id: 0 for order in accounts.orders.values()}
        due |= {order.order_id: PRICE_MINOR for order in placed}
        ensure_kept_for(payments, due)
        assert sum(payment.kept for payment in payments) == self.units_count * PRICE_MINOR
        for purchase in self.purchases:
            order = accounts.order_of(purchase)
            is_placed = order is not None and order.standing == "placed"
            assert is_placed == (purchase.outcome == "placed"), f"{purchase.key}: {purchase.outcome}, {order}"


async def insist(
    door: Door, who: Person, method: str, path: str, body: object, asked: list[Told], key: str | None = None
) -> Told:
    """As a good client does: no answer, a 5xx or «still running» is asked again, under the same key."""
    headers = {} if key is None else {"Idempotency_Key": key}
    while True:
        asked.append(told := await door.ask(who, method, path, body, **headers))
        if told.is_known:
            return told
        await asyncio.sleep(PAUSE_SECONDS)


def says(told: Told) -> str:
    """What a shopper has learnt in the end."""
    if told.problem == "insufficient-stock":
        figures = (told.body["product_id"], told.body["requested"], told.body["available"])
        return f"none of {SKU} left" if figures == (SKU, 1, 0) else f"insufficient stock {figures}"
    if told.status in (200, 201):
        return str(told.body["status"] if told.status == 201 else told.body["state"]["standing"])
    return f"{told.status} {told.problem}"


async def sell(folder: Path, shoppers_count: int, units_count: int, kill_at: tuple[int, ...]) -> None:
    # What a request has left undone is resumed 5 s after it could have been done.
    with a_shop(folder, COUNTERFOIL_CHECKOUT_ANSWER_WITHIN_SECONDS="1") as shop:
        shop.start("--empty")
        async with Client(shop, "olga", "operator") as operator:
            await given_product(operator, SKU, price=PRICE_MINOR, stock=units_count)
        sale = Sale(shop, shoppers_count, units_count)
        await sale.run(kill_at)
        await asyncio.to_thread(shop.wait_until_ready)
        await until_all_has_ended(shop.database_url, ENDED_WITHIN_SECONDS)
        payments = await settled_payments(shop.provider_url, ENDED_WITHIN_SECONDS)
        sale.ensure_exact(Accounts.of(read_ledger(shop.database_url).log), payments)


@pytest.mark.long
async def test_three_hundred_shoppers_for_ten_units(tmp_path: Path) -> None:
    await sell(tmp_path, shoppers_count=300, units_count=10, kill_at=(5,))


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_ten_thousand_shoppers_for_a_hundred_units(tmp_path: Path) -> None:
    await sell(tmp_path, shoppers_count=10_000, units_count=100, kill_at=(50, 5_000))
