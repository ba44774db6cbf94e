"""Shoppers: each is a new guest who puts three products into a cart and checks out. The same for every shop."""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass, field
from typing import Final

import msgspec
import uvloop
from uuid_utils import uuid7

from bench.apart import Begin
from bench.http_client import Answer, HttpClient, post
from bench.load import WARM_UP_SHARE

ITEMS_COUNT: Final = 3
CONNECTIONS_LIMIT_COUNT: Final = 512
# A figure of fewer checkouts says nothing: on a busy machine the measured time is prolonged, up to its limit.
LEAST_CHECKOUTS_COUNT: Final = 20
PROLONGED_LIMIT_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05
_COOKIE: Final = re.compile(rb"\r\nset-cookie: *(cf_session=[^;\r]+)", re.IGNORECASE)
_CHECKOUT: Final = msgspec.json.encode(
    {
        "shipping_address": {
            "name": "Ada Green",
            "line1": "1 Lamp Lane",
            "city": "London",
            "postcode": "N1 9GU",
            "country": "GB",
        },
        "payment_token": "tok_ok",
    }
)


class WrongAnswer(Exception):
    """A shop said something else than it should."""


class _Line(msgspec.Struct):
    product_id: str
    quantity: int


class _Money(msgspec.Struct):
    amount: int


class _Cart(msgspec.Struct):
    items: list[_Line]


class _Order(msgspec.Struct):
    order_id: str
    status: str
    items: list[_Line]
    total: _Money


_cart = msgspec.json.Decoder(_Cart)
_order = msgspec.json.Decoder(_Order)


@dataclass(slots=True)
class Shopping:
    """`checkouts_count` in the measured `seconds`; `placed_count` with those before and after.

    `latencies_seconds` are of the checkout requests of the measured time.
    """

    placed_count: int = 0
    charged_amount: int = 0
    checkouts_count: int = 0
    seconds: float = 0.0
    latencies_seconds: list[float] = field(default_factory=list)


class _Shop:
    def __init__(self, host: str, port: int, skus: list[str], seed: int) -> None:
        self._host, self._port = host, port
        self._address = f"{host}:{port}"
        self._items = {sku: msgspec.json.encode({"product_id": sku, "quantity": 1}) for sku in skus}
        self._skus = skus
        self._chance = random.Random(seed)  # noqa: S311 -- shoppers, not secrets
        self._idle: list[HttpClient] = []
        self._connections_count = 0
        self.shopping = Shopping()
        self.measuring = False

    async def connect(self) -> HttpClient:
        if self._idle:
            return self._idle.pop()
        if self._connections_count >= CONNECTIONS_LIMIT_COUNT:
            raise WrongAnswer(f"{CONNECTIONS_LIMIT_COUNT} shoppers wait at once: the shop does not keep up")
        self._connections_count += 1
        return await HttpClient.connect(self._host, self._port)

    def release(self, client: HttpClient) -> None:
        self._idle.append(client)

    def close(self) -> None:
        for client in self._idle:
            client.close()

    async def buy(self, client: HttpClient) -> None:
        """Raises WrongAnswer, ConnectionError, TimeoutError."""
        wanted = self._chance.sample(self._skus, ITEMS_COUNT)
        cookie: list[bytes] = []
        for number, sku in enumerate(wanted, start=1):
            answer = await client.ask(post(self._address, "/v1/cart/items", self._items[sku], *cookie))
            _ensure(answer, 200)
            if not cookie:
                cookie = [b"Cookie: " + _session(answer)]
            if len(_cart.decode(answer.body).items) != number:
                raise WrongAnswer(f"a cart of {number} products: {answer.body!r}")
        key = b"Idempotency-Key: " + str(uuid7()).encode()
        measured, asked_at = self.measuring, time.perf_counter()
        answer = await client.ask(post(self._address, "/v1/checkout", _CHECKOUT, key, *cookie))
        latency_seconds = time.perf_counter() - asked_at
        _ensure(answer, 201)
        order = _order.decode(answer.body)
        if order.status != "placed" or {line.product_id for line in order.items} != set(wanted):
            raise WrongAnswer(f"an order of {wanted}: {answer.body!r}")
        self.shopping.placed_count += 1
        self.shopping.charged_amount += order.total.amount
        if self.measuring:
            self.shopping.checkouts_count += 1
        if measured:
            self.shopping.latencies_seconds.append(latency_seconds)


def crowd(
    begin: Begin, _number: int, host: str, port: int, skus: list[str], clients_count: int, seconds: float
) -> Shopping:
    """So many shoppers at once, each followed by the next: as fast as the shop can."""

    async def shop_until_the_end() -> Shopping:
        shop = _Shop(host, port, skus, seed=1)
        ending = False

        async def client() -> None:
            connection = await shop.connect()
            while not ending:
                await shop.buy(connection)
            shop.release(connection)

        begin()
        async with asyncio.TaskGroup() as clients:
            for _ in range(clients_count):
                clients.create_task(client())
            await asyncio.sleep(seconds * WARM_UP_SHARE)
            shop.measuring, began = True, time.perf_counter()
            await asyncio.sleep(seconds)
            while shop.shopping.checkouts_count < LEAST_CHECKOUTS_COUNT:
                if time.perf_counter() - began > seconds + PROLONGED_LIMIT_SECONDS:
                    raise WrongAnswer(f"fewer than {LEAST_CHECKOUTS_COUNT} checkouts in {PROLONGED_LIMIT_SECONDS} s")
                await asyncio.sleep(POLL_SECONDS)
            shop.measuring, shop.shopping.seconds = False, time.perf_counter() - began
            ending = True
        shop.close()
        return shop.shopping

    return uvloop.run(shop_until_the_end())


def stream(
    begin: Begin, _number: int, host: str, port: int, skus: list[str], shoppers_per_second: float, seconds: float
) -> Shopping:
    """One shopper after another comes in at an even pace, however long those before them take."""

    async def let_in() -> Shopping:
        shop = _Shop(host, port, skus, seed=2)

        async def client() -> None:
            connection = await shop.connect()
            await shop.buy(connection)
            shop.release(connection)

        begin()
        began, number = time.perf_counter(), 0
        warm_up_seconds = seconds * WARM_UP_SHARE
        measured_seconds = max(seconds, min(LEAST_CHECKOUTS_COUNT / shoppers_per_second, PROLONGED_LIMIT_SECONDS))
        async with asyncio.TaskGroup() as clients:
            while (due := began + number / shoppers_per_second) < began + warm_up_seconds + measured_seconds:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                shop.measuring = due >= began + warm_up_seconds
                clients.create_task(client())
                number += 1
        shop.shopping.seconds = measured_seconds
        shop.close()
        return shop.shopping

    return uvloop.run(let_in())


def _ensure(answer: Answer, status: int) -> None:
    if answer.status != status:
        raise WrongAnswer(f"{answer.status} in place of {status}: {answer.body[:500]!r}")


def _session(answer: Answer) -> bytes:
    found = _COOKIE.search(answer.head)
    if found is None:
        raise WrongAnswer(f"no cookie in {answer.head!r}")
    return found[1]
