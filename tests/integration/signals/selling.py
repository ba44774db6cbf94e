"""Orders of several lines, and the counters that they are told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

from redis.asyncio import Redis

from domain.aggregates import Order
from domain.events import AnyEvent
from domain.pricing import Totals
from domain.values import Address, Cause, Item, OrderLine, ProductKind, ShipmentPlan
from projections.recorded import Recorded
from projections.signals import keys
from tests.fakes.streams import MemoryStreams
from tests.integration.readside.shop import START, gbp

NOW = START + timedelta(minutes=30)


def cause(at: datetime = START) -> Cause:
    return Cause(at, "customer:ada", "command-1", "conversation-1")


def order(number: int, *skus: str, at: datetime = START, services: Sequence[str] = ()) -> Order:
    """Placed at `at`."""
    placed = submitted(number, *skus, at=at, services=services)
    placed.place(f"pay-{number}", True, cause(at))
    return placed


def submitted(number: int, *skus: str, at: datetime = START, services: Sequence[str] = ()) -> Order:
    return Order.submit(
        UUID(int=number),
        "customer:ada",
        UUID(int=0),
        (*(line(sku) for sku in skus), *(line(sku, "service") for sku in services)),
        Totals(gbp(2000), gbp(300), gbp(0), gbp(2300)),
        Address("Ada", "1 Lane", "Leeds", "LS1", "GB"),
        "standard",
        (ShipmentPlan("s1", "north", tuple(Item(sku, 2) for sku in skus), at + timedelta(days=3)),),
        cause(at),
    )


def line(sku: str, kind: ProductKind = "goods") -> OrderLine:
    return OrderLine(sku, f"The {sku}", 2, gbp(1000), kind)


class Log:
    """Events with their positions, and the streams that they belong to."""

    def __init__(self, *orders: Order) -> None:
        self.events: list[Recorded] = []
        self.streams = MemoryStreams()
        self.record(*orders)

    @property
    def position(self) -> int:
        return len(self.events)

    def record(self, *orders: Order) -> list[Recorded]:
        before = self.position
        for each in orders:
            for event in each.collect_events():
                self.append(event)
        return self.events[before:]

    def append(self, event: AnyEvent) -> None:
        self.events.append(Recorded(self.position + 1, event))
        self.streams.append(event)


def pairs(*orders: Sequence[str]) -> Counter[tuple[str, str]]:
    return Counter(pair for skus in orders for pair in permutations(dict.fromkeys(skus), 2))


async def counted_pairs(client: Redis) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    prefix = keys.bought_with("")
    async for key in client.scan_iter(match=f"{prefix}*", count=1_000):
        sku = key.decode().removeprefix(prefix)
        for other, score in (await _ranked(client, key)).items():
            found[sku, other] = score
    return found


async def scores(client: Redis, minute: int) -> dict[str, int]:
    return await _ranked(client, keys.bucket(minute))


async def _ranked(client: Redis, key: str | bytes) -> dict[str, int]:
    held: Any = await client.zrange(key, 0, -1, withscores=True)
    return {member.decode(): round(score) for member, score in held}
