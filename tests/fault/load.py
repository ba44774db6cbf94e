"""Clients that write down what they asked and what they were told. An answer that does not come is written down too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import httpx

from tests.e2e.client import ADDRESS, TIMEOUT_SECONDS
from tests.e2e.running_shop import RunningShop

SKUS = tuple(f"SKU-{n}" for n in range(4))
WAREHOUSES = ("north", "south")
TOKENS = ("tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_slow_100", "tok_error_then_ok")
REPEATS_LIMIT_COUNT = 3
Kind = Literal["add", "change", "checkout", "receive"]


@dataclass(frozen=True)
class Asked:
    """`request_id` is what all its events are caused by. `told` is None when no answer came."""

    request_id: str
    kind: Kind
    owner: str
    sku: str
    quantity: int
    key: str
    told: httpx.Response | None

    @property
    def accepted(self) -> bool:
        return self.told is not None and self.told.status_code < 300

    @property
    def refused(self) -> bool:
        """By a rule of the shop. After a 5xx nobody knows."""
        return self.told is not None and 400 <= self.told.status_code < 500


@dataclass
class Load:
    """Shoppers and operators; each does what the seed says, as fast as it is answered, until they are to stop."""

    shop: RunningShop
    seed: str
    shoppers_count: int = 12
    operators_count: int = 2
    asked: list[Asked] = field(default_factory=list)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: Iterator[int] = field(default_factory=count)

    async def run(self) -> None:
        # Neither certificates nor proxies are looked for: all addresses are of this machine.
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=TIMEOUT_SECONDS) as http:  # noqa: S501
            await asyncio.gather(
                *[self._shopper(http, n) for n in range(self.shoppers_count)],
                *[self._operator(http, n) for n in range(self.operators_count)],
            )

    def stop(self) -> None:
        self._stopping.set()

    async def _shopper(self, http: httpx.AsyncClient, number: int) -> None:
        draw = random.Random(f"shopper {number} {self.seed}")  # noqa: S311
        headers = self.shop.token(f"shopper-{number}")
        owner = f"customer:shopper-{number}"
        orders = count()
        while not self._stopping.is_set():
            for _ in range(draw.randint(1, 3)):
                sku, quantity = draw.choice(SKUS), draw.randint(1, 3)
                if draw.random() < 0.7:
                    body = {"product_id": sku, "quantity": quantity}
                    await self._ask(http, "add", "POST", "/v1/cart/items", body, headers, owner, sku, quantity)
                else:
                    path, body = f"/v1/cart/items/{sku}", {"quantity": quantity}
                    await self._ask(http, "change", "PUT", path, body, headers, owner, sku, quantity)
            key, token = f"{number}-{next(orders)}", draw.choice(TOKENS)
            body = {"shipping_address": ADDRESS, "payment_token": token}
            for _ in range(REPEATS_LIMIT_COUNT):
                keyed = {**headers, "Idempotency-Key": key}
                asked = await self._ask(http, "checkout", "POST", "/v1/checkout", body, keyed, owner, key=key)
                if asked.accepted or asked.refused:
                    break

    async def _operator(self, http: httpx.AsyncClient, number: int) -> None:
        draw = random.Random(f"operator {number} {self.seed}")  # noqa: S311
        headers = self.shop.token(f"operator-{number}", "operator")
        while not self._stopping.is_set():
            sku, quantity = draw.choice(SKUS), draw.randint(1, 9)
            body = {"warehouse_id": draw.choice(WAREHOUSES), "quantity": quantity}
            path, owner = f"/v1/inventory/{sku}/receive", body["warehouse_id"]
            await self._ask(http, "receive", "POST", path, body, headers, str(owner), sku, quantity)
            await asyncio.sleep(draw.uniform(0, 0.05))

    async def _ask(
        self,
        http: httpx.AsyncClient,
        kind: Kind,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str],
        owner: str,
        sku: str = "",
        quantity: int = 0,
        key: str = "",
    ) -> Asked:
        request_id = f"load-{next(self._numbers)}"
        told: httpx.Response | None = None
        try:
            named = {**headers, "X-Request-ID": request_id}
            told = await http.request(method, self.shop.command_url + path, json=body, headers=named)
        except httpx.TransportError:
            await asyncio.sleep(0.05)  # it is being started again
        asked = Asked(request_id, kind, owner, sku, quantity, key, told)
        self.asked.append(asked)
        return asked
