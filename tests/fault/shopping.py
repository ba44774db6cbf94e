"""A few shoppers, operators and an auditor at one shop, for as long as they are let; all by HTTP."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from tests.e2e.client import ADDRESS
from tests.fault.asking import Door, Told, person
from tests.fault.records import Purchase, Records, Request
from tests.waiting import eventually

WAREHOUSE: Final = "main"
TOKENS: Final = (
    "tok_ok", "tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_slow_200", "tok_error_then_ok", "tok_timeout",
    "tok_webhook", "tok_webhook_declined",
)  # fmt: skip
PATIENCE_SECONDS: Final = 75
SETUP_TIMEOUT_SECONDS: Final = 30
PAUSE_SECONDS: Final = (0.1, 0.4)
UNANSWERED_PAUSE_SECONDS: Final = (0.3, 0.6)
THINKING_SECONDS: Final = 0.5
PRICE_MINOR: Final = 250
FIRST_UNITS: Final = 8
PLENTY_UNITS: Final = 6
ENOUGH_SOLD_COUNT: Final = 15
ENOUGH_WITHIN_SECONDS: Final = 60
AT_ONCE_COUNT: Final = 4  # a shopper whose checkout was interrupted goes on with the next one meanwhile


@dataclass
class Shopping:
    """One run: `prefix` makes its SKUs, people and keys its own."""

    url: str
    prefix: str
    seed: str
    shoppers_count: int = 6
    skus_count: int = 3
    records: Records = field(init=False)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    """Everything is there to be bought."""
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.records = Records(tuple(f"{self.prefix}-{letter}" for letter in "abcdef"[: self.skus_count]))
        self._operator = person("olga", "operator")
        self._auditor = person("ada-the-auditor", "auditor")

    async def until_worth_a_look(self) -> None:
        """Until enough was sold, and somebody came too late. Raises AssertionError when that takes too long."""

        async def progress() -> tuple[int, int]:
            sold = sum(purchase.outcome == "placed" for purchase in self.records.purchases)
            return sold, sum(told.problem == "insufficient-stock" for _, told in self.records.all_told())

        await eventually(progress, lambda done: done[0] >= ENOUGH_SOLD_COUNT and done[1] > 0, ENOUGH_WITHIN_SECONDS)

    def stop(self) -> None:
        """Nobody begins anything new; what was begun is asked for until it is answered."""
        self._stopping.set()

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            door = await stack.enter_async_context(Door(self.url))
            await self._open(door)
            self.opened.set()
            async with asyncio.TaskGroup() as group:
                for n in range(self.shoppers_count):
                    group.create_task(self._shop(door, n))
                for sku in self.records.skus:
                    group.create_task(self._keep_stock(door, sku))
                group.create_task(self._look_around(door))

    async def look_at_the_end(self) -> None:
        """Once all is over: every SKU once more, and every key."""
        async with Door(self.url) as door:
            for sku in self.records.skus:
                await self._request(door, "look", sku, 0)
            for purchase in self.records.purchases:
                purchase.asked.append(await self._check_out(door, purchase))

    async def _open(self, door: Door) -> None:
        async with asyncio.timeout(SETUP_TIMEOUT_SECONDS):
            for sku in self.records.skus:
                product = {
                    "sku": sku,
                    "title": f"A {sku}",
                    "category": ["Home"],
                    "price": {"amount": PRICE_MINOR, "currency": "GBP"},
                }
                create = partial(door.ask, self._operator, "POST", "/v1/products", product)
                await eventually(create, lambda told: told.status in (201, 409), SETUP_TIMEOUT_SECONDS)
                while (await self._request(door, "look", sku, 0)).status != 200:
                    await self._request(door, "receive", sku, FIRST_UNITS)
                    await asyncio.sleep(PAUSE_SECONDS[0])

    async def _shop(self, door: Door, number: int) -> None:
        draw = random.Random(f"shopper {number} {self.prefix} {self.seed}")  # noqa: S311
        under_way = asyncio.Semaphore(AT_ONCE_COUNT)
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                await under_way.acquire()
                purchase = await self._fill_a_cart(door, draw)
                if purchase is None:
                    under_way.release()
                    continue
                buying = group.create_task(self._buy(door, purchase, random.Random(draw.random())))  # noqa: S311
                buying.add_done_callback(lambda _: under_way.release())
                await asyncio.wait([buying], timeout=draw.uniform(0.2, 1.5))
                await asyncio.sleep(draw.uniform(0, 0.03))

    async def _fill_a_cart(self, door: Door, draw: random.Random) -> Purchase | None:
        """A new customer's: so that it holds what was asked for, once. None where that is not known, or refused."""
        who = f"{self.prefix}-{next(self._numbers)}"
        skus = draw.sample(self.records.skus, draw.choice((1, 1, 1, 2)))
        items = {sku: draw.randint(1, 4) for sku in skus}
        for sku, quantity in items.items():
            told = await self._request(door, "add", sku, quantity, who)
            if told.status != 200:
                await asyncio.sleep(draw.uniform(*(PAUSE_SECONDS if told.is_known else UNANSWERED_PAUSE_SECONDS)))
                return None
        purchase = Purchase(who, f"key-of-{who}", items, draw.choice(TOKENS))
        self.records.purchases.append(purchase)
        return purchase

    async def _buy(self, door: Door, purchase: Purchase, draw: random.Random) -> None:
        # What is in the cart may be gone by then.
        await asyncio.sleep(draw.uniform(0, THINKING_SECONDS))
        until = time.monotonic() + PATIENCE_SECONDS
        while purchase.answer is None and time.monotonic() < until:
            purchase.asked.append(told := await self._check_out(door, purchase))
            if not told.is_known:
                await asyncio.sleep(draw.uniform(*(PAUSE_SECONDS if told.status == 409 else UNANSWERED_PAUSE_SECONDS)))
        if draw.random() < 0.1:
            purchase.asked.append(await self._check_out(door, purchase))
        if purchase.order_id is not None and draw.random() < 0.2:
            await self._insist(
                door, purchase, purchase.cancelled, "POST", f"/v1/orders/{purchase.order_id}/cancel", until
            )
        path = f"/v1/audit/order/{purchase.order_id}"
        while purchase.outcome == "" and purchase.order_id is not None and time.monotonic() < until:
            await self._insist(door, purchase, purchase.followed, "GET", path, until)
            if purchase.outcome == "":
                await asyncio.sleep(draw.uniform(*UNANSWERED_PAUSE_SECONDS))

    async def _insist(
        self, door: Door, purchase: Purchase, told: list[Told], method: str, path: str, until: float
    ) -> None:
        who = self._auditor if method == "GET" else person(purchase.who)
        while time.monotonic() < until:
            told.append(await door.ask(who, method, path))
            if told[-1].is_known:
                return
            await asyncio.sleep(UNANSWERED_PAUSE_SECONDS[0])

    async def _check_out(self, door: Door, purchase: Purchase) -> Told:
        body = {"shipping_address": ADDRESS, "payment_token": purchase.token}
        return await door.ask(person(purchase.who), "POST", "/v1/checkout", body, Idempotency_Key=purchase.key)

    async def _keep_stock(self, door: Door, sku: str) -> None:
        """Receives when little is left, and counts: there is to be too little again and again."""
        draw = random.Random(f"operator {sku} {self.seed}")  # noqa: S311
        there = 0
        while not self._stopping.is_set():
            if there < PLENTY_UNITS and draw.random() < 0.8:
                told = await self._request(door, "receive", sku, draw.randint(1, 9))
            else:
                told = await self._request(door, "count", sku, draw.choice((-9, -3, -2, -1, 1)))
            if told.status == 200:
                there = told.body["available"]
            while not told.is_known:  # as they are told to: whoever does not know looks first
                await asyncio.sleep(draw.uniform(*UNANSWERED_PAUSE_SECONDS))
                told = await self._request(door, "look", sku, 0)
            await asyncio.sleep(draw.uniform(0.1, 0.4))

    async def _look_around(self, door: Door) -> None:
        draw = random.Random(f"auditor {self.prefix} {self.seed}")  # noqa: S311
        while not self._stopping.is_set():
            told = await self._request(door, "look", draw.choice(self.records.skus), 0)
            await asyncio.sleep(draw.uniform(*((0.02, 0.2) if told.is_known else UNANSWERED_PAUSE_SECONDS)))

    async def _request(self, door: Door, kind: str, sku: str, quantity: int, who: str = "") -> Told:
        match kind:
            case "add":
                body = {"product_id": sku, "quantity": quantity}
                told = await door.ask(person(who), "POST", "/v1/cart/items", body)
            case "receive":
                told = await door.ask(self._operator, "POST", f"/v1/inventory/{sku}/receive", _receipt(quantity))
            case "count":
                body = {"warehouse_id": WAREHOUSE, "quantity_delta": quantity, "reason": "counted"}
                told = await door.ask(self._operator, "POST", f"/v1/inventory/{sku}/adjust", body)
            case _:
                told = await door.ask(self._auditor, "GET", f"/v1/audit/stock/{sku}@{WAREHOUSE}")
        self.records.requests.append(Request(kind, who, sku, quantity, told))
        return told


def _receipt(quantity: int) -> dict[str, object]:
    return {"warehouse_id": WAREHOUSE, "quantity": quantity}
