"""The views that the log itself makes, in one process and from its beginning, and what differs from them."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import permutations
from typing import Any, Final

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from counterfoil.processes.projector import open_projector
from domain.aggregates import StockItem
from domain.events.order import OrderPlaced, OrderSubmitted
from projections.generations import VIEW_NAMES
from projections.keys import Keys
from projections.signals import keys as signal_keys
from projections.signals.trending import SALE_WEIGHT
from projections.valkey import open_redis
from queryside.views import Views
from streams.log_pages import LogPages
from streams.metrics import ProjectorMetrics
from streams.signals.sales_projection import NAME as SALES
from streams.verify import Verification
from streams.view_feeds import VIEWS
from tests.fault.ledger import Ledger
from tests.fixtures.redis_contents import contents
from tests.waiting import eventually

REPLAYED_WITHIN_SECONDS: Final = 120
SHOWN_LIMIT_COUNT: Final = 10
TIMEOUT_SECONDS: Final = 30
# Products whose names begin so are only looked at, never sold.
LOOKED_AT: Final = "looked-at"
# What is kept about the views, and is another thing in every form of the shop.
ABOUT: Final = (b":checkpoint:", b":offsets:")


async def until_all_hold(client: Redis, position: int, within_seconds: float) -> None:
    """Every view, and the counters of sales, in every partition. Fails with where they stand."""

    async def held() -> list[int]:
        counted: Any = await client.hvals(Keys().checkpoint(SALES))
        return [*await Views(client).positions(VIEW_NAMES), min(map(int, counted), default=0)]

    await eventually(held, lambda held: min(held) >= position, within_seconds)


async def ensure_identical(database_url: str, redis_url: str, other_redis_url: str, position: int) -> None:
    """Builds the views anew into the other, empty store, and compares both stores byte by byte.

    Raises AssertionError, which names what differs.
    """
    async with (
        open_redis(redis_url, timeout_seconds=TIMEOUT_SECONDS) as client,
        open_redis(other_redis_url, timeout_seconds=TIMEOUT_SECONDS) as other,
    ):
        await other.flushdb()
        await _replay(database_url, other_redis_url, other, position)
        due = await _views(other)
        assert len(due) > 0
        found = differences(await _views(client), due)
        assert not found, "\n".join([f"{len(found)} keys differ from the replay:", *found[:SHOWN_LIMIT_COUNT]])
        await _ensure_a_difference_is_found(client, due)


async def ensure_verified(database_url: str, redis_url: str) -> None:
    """As the operator's own command finds it. Raises AssertionError."""
    pool: Any = AsyncConnectionPool(
        database_url, kwargs={"autocommit": True}, min_size=0, max_size=2, timeout=TIMEOUT_SECONDS, open=False
    )
    async with open_redis(redis_url, timeout_seconds=TIMEOUT_SECONDS) as client, pool:
        for view in VIEW_NAMES:
            verification = Verification(view, client, LogPages(pool, VIEWS[view](Keys()).event_types))
            found = [difference async for difference in verification.differences()]
            assert found == [], found[:SHOWN_LIMIT_COUNT]
            assert verification.streams_count > 0 and verification.keys_count > 0


async def ensure_stock_adds_up(ledger: Ledger, redis_url: str) -> None:
    """By what the log sums up to, and nothing else: no unit is lost, and none is counted twice."""
    due: dict[tuple[str, str], tuple[int, int]] = {}
    for stream in ledger.by_stream.values():
        item = StockItem.replay([one.event for one in stream]) if stream[0].event.TOPIC == "stock.opened.v1" else None
        if item is not None:
            due[item.sku, item.warehouse_id] = (item.on_hand, item.reserved)
    assert due
    async with open_redis(redis_url, timeout_seconds=TIMEOUT_SECONDS) as client:
        for sku in {sku for sku, _ in due}:
            stored: Any = await client.hgetall(Keys().stock(sku))
            available = int(stored.pop(b"available"))
            levels = {name[1:].decode(): tuple(map(int, level.split()[1:])) for name, level in stored.items()}
            assert levels == {warehouse: level for (each, warehouse), level in due.items() if each == sku}
            assert available == sum(on_hand - reserved for on_hand, reserved in levels.values())


async def ensure_sales_counted(ledger: Ledger, redis_url: str, *, were_looked_at: bool = False) -> None:
    """Every order that was placed is in the counters of signals, once: by the log, and nothing else.

    Beside them are the page views of products that nobody buys, where there were any.
    """
    lines = {
        one.event.originator_id: dict.fromkeys(line.product_id for line in one.event.lines)
        for one in ledger.log
        if isinstance(one.event, OrderSubmitted)
    }
    placed = [one.event.originator_id for one in ledger.log if isinstance(one.event, OrderPlaced)]
    assert placed
    together = Counter(pair for order_id in placed for pair in permutations(lines[order_id], 2))
    times_sold = Counter(sku for order_id in placed for sku in lines[order_id])
    due = {sku: SALE_WEIGHT * count for sku, count in times_sold.items()}
    async with open_redis(redis_url, timeout_seconds=TIMEOUT_SECONDS) as client:
        prefix = signal_keys.bought_with("")
        counted: Counter[tuple[str, str]] = Counter()
        async for key in client.scan_iter(match=f"{prefix}*"):
            for other, count in await _ranked(client, key):
                counted[key.decode().removeprefix(prefix), other] = count
        trending: Counter[str] = Counter()
        async for key in client.scan_iter(match=f"{signal_keys.PREFIX}:trending:*"):
            trending.update(dict(await _ranked(client, key)))
    assert counted == together
    assert {sku: score for sku, score in trending.items() if not sku.startswith(LOOKED_AT)} == due
    assert any(sku.startswith(LOOKED_AT) for sku in trending) or not were_looked_at


def differences(found: dict[bytes, Any], due: dict[bytes, Any]) -> list[str]:
    """A line per key that is not the same in both."""
    keys = sorted(key for key in {*found, *due} if found.get(key) != due.get(key))
    return [f"{key.decode()}: {found.get(key)!r}, by the replay {due.get(key)!r}"[:1_000] for key in keys]


async def last_position(database_url: str) -> int:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("SELECT coalesce(max(notification_id), 0) FROM log.stored_events")
        row: Any = await cursor.fetchone()
        return int(row[0])


async def _replay(database_url: str, redis_url: str, client: Redis, position: int) -> None:
    async with open_projector(database_url, redis_url, ProjectorMetrics(CollectorRegistry())) as projector:
        running = asyncio.create_task(projector.run())
        try:
            await until_all_hold(client, position, REPLAYED_WITHIN_SECONDS)
        finally:
            running.cancel()
            await asyncio.wait([running], timeout=TIMEOUT_SECONDS)


async def _ranked(client: Redis, key: bytes) -> list[tuple[str, int]]:
    held: Any = await client.zrange(key.decode(), 0, -1, withscores=True)
    return [(member.decode(), round(score)) for member, score in held]


async def _views(client: Redis) -> dict[bytes, Any]:
    held = await contents(client, Keys().prefix)
    return {key: value for key, value in held.items() if not key.startswith(ABOUT)}


async def _ensure_a_difference_is_found(client: Redis, due: dict[bytes, Any]) -> None:
    """Or the comparison would prove nothing."""
    key = Keys().prefix.encode() + next(key for key in sorted(due) if key.startswith(b":stock:"))
    await client.hincrby(key.decode(), "available", 1)
    try:
        assert len(differences(await _views(client), due)) == 1
    finally:
        await client.hincrby(key.decode(), "available", -1)
