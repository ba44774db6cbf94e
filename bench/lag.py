"""Milliseconds from a command's answer until every view holds it, at 500 commands a second: in process, through Kafka.

Each form has a database and a Valkey of its own; one idles while the other is measured. A view holds a command when its
position has come to that of the command's last event, which is what a query with Min-Position waits for.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Final

import uvloop
from redis.asyncio import Redis
from uuid_utils import uuid7

from bench.apart import Begin, run_apart
from bench.history import SHOP
from bench.ours import WAREHOUSE, a_cause, a_writer
from bench.report import Report
from bench.server import a_folder, database
from bench.shops import HOST, part
from commandside.commands import AddProduct, AddToCart, ChangeProduct, ChangeQuantity, ProductChanges, ReceiveStock
from commandside.commands.fields import MoneyField
from commandside.handlers import cart, catalogue, inventory
from commandside.handlers.context import Answer, Context
from commandside.writer import Decision, Writer
from counterfoil.embedded import standalone
from counterfoil.embedded.ports import free_port
from ops.kafka import kafka_server
from ops.missing import MissingError
from projections.generations import VIEW_NAMES
from projections.valkey import open_redis
from queryside.views import Views

COMMANDS_PER_SECOND: Final = 500
CARTS_COUNT: Final = 500
SKUS_COUNT: Final = 20
UNITS: Final = 1_000_000
LEAST_WARM_UP_SECONDS: Final = 1.0
WARM_UP_SHARE: Final = 0.5
POLL_SECONDS: Final = 0.001
UNSEEN_LIMIT_COMMANDS: Final = 20_000
SEEN_WITHIN_SECONDS: Final = 60.0
SLACK_SECONDS: Final = 120.0
VALKEY_MEMORY_MB: Final = 256


def run(
    report: Report,
    server_url: str,
    seconds: float,
    rounds_count: int,
    commands_per_second: int = COMMANDS_PER_SECOND,
    *,
    through_kafka: bool = True,
) -> None:
    """Without a Kafka that can run here, what goes through it is left out, which the report's counts tell."""
    with ExitStack() as running:
        forms = {"embedded": running.enter_context(_embedded(server_url))}
        if through_kafka:
            try:
                forms["kafka"] = running.enter_context(_through_kafka(server_url))
            except MissingError as error:
                sys.stderr.write(f"lag: not through Kafka: {error}\n")
        for _ in range(rounds_count):
            for name, (url, redis_url) in forms.items():
                _measure(report, name, url, redis_url, commands_per_second, seconds)


def _measure(report: Report, name: str, url: str, redis_url: str, commands_per_second: int, seconds: float) -> None:
    ((lags_seconds, commands_count, lasted_seconds),) = run_apart(
        trade, url, redis_url, commands_per_second, seconds, timeout_seconds=seconds * 2 + SLACK_SECONDS
    )
    found = quantiles(lags_seconds, n=100, method="inclusive")
    report.measure(f"lag.{name}_p50_milliseconds", found[49] * 1_000)
    report.measure(f"lag.{name}_p99_milliseconds", found[98] * 1_000)
    report.measure(f"lag.{name}_commands_per_second", commands_count / lasted_seconds)
    report.measure("lag.load_average_processes", os.getloadavg()[0])
    report.count(f"lag.{name}_commands", commands_count)
    report.count(f"lag.{name}_seen", len(lags_seconds))


@contextmanager
def _embedded(server_url: str) -> Iterator[tuple[str, str]]:
    with (
        a_folder() as folder,
        _stores(server_url, folder) as (url, redis_url),
        _running("projector", folder, DATABASE_URL=url, REDIS_URL=redis_url),
    ):
        yield url, redis_url


@contextmanager
def _through_kafka(server_url: str) -> Iterator[tuple[str, str]]:
    with (
        a_folder() as folder,
        kafka_server(folder / "kafka") as kafka,
        _stores(server_url, folder) as (url, redis_url),
        _running("relay", folder, DATABASE_URL=url, KAFKA_URL=kafka.address),
        _running("worker", folder, DATABASE_URL=url, REDIS_URL=redis_url, KAFKA_URL=kafka.address),
    ):
        yield url, redis_url


@contextmanager
def _stores(server_url: str, folder: Path) -> Iterator[tuple[str, str]]:
    with database(server_url) as url, standalone.valkey(folder / "valkey", VALKEY_MEMORY_MB) as redis_url:
        yield url, redis_url


@contextmanager
def _running(name: str, folder: Path, **addresses: str) -> Iterator[None]:
    port = free_port(HOST)
    environment = {f"COUNTERFOIL_{name.upper()}_PORT": str(port), "COUNTERFOIL_VAR": str(folder / name), **addresses}
    with part(name, "counterfoil.part", environment, folder, port):
        yield


@dataclass(slots=True)
class Seen:
    """When commands were answered, and how long after that the views held them."""

    unseen: deque[tuple[int, float, bool]] = field(default_factory=deque)  # bounded: by UNSEEN_LIMIT_COMMANDS
    lags_seconds: list[float] = field(default_factory=list)

    def answered(self, position: int, counts: bool) -> None:
        if len(self.unseen) >= UNSEEN_LIMIT_COMMANDS:
            raise TimeoutError(f"{UNSEEN_LIMIT_COMMANDS} commands are in no view yet")
        self.unseen.append((position, time.perf_counter(), counts))

    def held(self, position: int) -> None:
        now = time.perf_counter()
        while self.unseen and self.unseen[0][0] <= position:
            _, answered_at, counts = self.unseen.popleft()
            if counts:
                self.lags_seconds.append(now - answered_at)

    async def watch(self, client: Redis) -> None:
        """Until cancelled."""
        views = Views(client)
        while True:
            self.held(min(await views.positions(VIEW_NAMES)))
            await asyncio.sleep(POLL_SECONDS)

    async def until_all(self) -> None:
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while self.unseen:  # noqa: ASYNC110 -- the watch polls too
                await asyncio.sleep(POLL_SECONDS)


def trade(
    begin: Begin, _number: int, url: str, redis_url: str, commands_per_second: int, seconds: float
) -> tuple[list[float], int, float]:
    """The lags of the measured commands, how many there were, and the seconds from the first to the last answer."""

    async def measure() -> tuple[list[float], int, float]:
        async with a_writer(url) as writer, open_redis(redis_url, timeout_seconds=10) as client:
            seen, shop = Seen(), _Shop()
            watching = asyncio.create_task(seen.watch(client))
            try:
                await shop.open(writer, seen)
                await seen.until_all()
                begin()
                warm_up_seconds = max(LEAST_WARM_UP_SECONDS, seconds * WARM_UP_SHARE)
                await _command(writer, shop, seen, commands_per_second, warm_up_seconds, counts=False)
                began = time.perf_counter()
                count = await _command(writer, shop, seen, commands_per_second, seconds, counts=True)
                lasted_seconds = time.perf_counter() - began
                await seen.until_all()
            finally:
                watching.cancel()
                await asyncio.wait([watching], timeout=SLACK_SECONDS)
            return seen.lags_seconds, count, lasted_seconds

    return uvloop.run(measure())


async def _command(writer: Writer, shop: _Shop, seen: Seen, per_second: int, seconds: float, *, counts: bool) -> int:
    """At an even pace, however long each takes. Returns how many there were, when all are answered."""

    async def one(number: int) -> None:
        committed = await writer.execute(shop.decision(number))
        seen.answered(committed.position, counts)

    began, count = time.perf_counter(), max(1, round(per_second * seconds))
    async with asyncio.TaskGroup() as commands:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            commands.create_task(one(number))
    return count


class _Shop:
    """Products and carts of this round alone."""

    def __init__(self) -> None:
        round_id = uuid7()
        self._skus = [f"LAMP-{number}-{round_id}" for number in range(SKUS_COUNT)]
        self._owners = [f"customer:{number}-{round_id}" for number in range(CARTS_COUNT)]
        self._draw = random.Random(CARTS_COUNT)  # noqa: S311 -- the same every time

    async def open(self, writer: Writer, seen: Seen) -> None:
        decisions: list[Decision[Answer]] = []
        for sku in self._skus:
            added = AddProduct(
                sku=sku, title="A lamp of brass and oak", category=("Home", "Lamps"), price=_price(1_999)
            )
            decisions += [
                partial(catalogue.add_product, command=added, context=Context(a_cause())),
                self._receive(sku, UNITS),
            ]
        for owner in self._owners:
            put = AddToCart(owner=owner, product_id=self._skus[0], quantity=1)
            decisions.append(partial(cart.add_to_cart, command=put, context=Context(a_cause()), shop=SHOP))
        for decision in decisions:
            committed = await writer.execute(decision)
            seen.answered(committed.position, counts=False)

    def decision(self, number: int) -> Decision[Answer]:
        """Mostly carts; some goods come in, and a few prices change. Each is an event."""
        kind, sku = self._draw.random(), self._draw.choice(self._skus)
        if kind < 0.70:
            owner, quantity = self._owners[number % CARTS_COUNT], self._draw.randint(1, 90)
            changed = ChangeQuantity(owner=owner, product_id=self._skus[0], quantity=quantity)
            return partial(cart.change_quantity, command=changed, context=Context(a_cause()), shop=SHOP)
        if kind < 0.95:
            return self._receive(sku, 1)
        repriced = ChangeProduct(sku=sku, changes=ProductChanges(price=_price(self._draw.randint(100, 9_999))))
        return partial(catalogue.change_product, command=repriced, context=Context(a_cause()))

    @staticmethod
    def _receive(sku: str, units: int) -> Decision[Answer]:
        received = ReceiveStock(sku=sku, warehouse_id=WAREHOUSE, quantity=units)
        return partial(inventory.receive_stock, command=received, context=Context(a_cause()))


def _price(amount: int) -> MoneyField:
    return MoneyField(amount=amount, currency="GBP")
