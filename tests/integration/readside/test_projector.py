"""The projector between a real log and real stores."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from statistics import quantiles
from typing import Any, TypeVar

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from counterfoil.processes.projector import open_projector
from domain.aggregates import EventSourced, Order
from projections.keys import Keys
from projections.valkey import open_redis
from queryside.views import ViewName, Views
from streams.dead_letters import RedisDeadLetters
from streams.metrics import ProjectorMetrics
from streams.projector import CannotGoOn, Projector
from tests.fixtures.ports import free_port
from tests.fixtures.valkey import valkey_on
from tests.integration.readside.shop import (
    about_a_shipment_that_it_does_not_have,
    cart,
    cause,
    collected,
    order,
    product,
    stock,
)
from tests.waiting import eventually

T = TypeVar("T")
LAG_LIMIT_SECONDS = 0.1
VIEWS: tuple[ViewName, ...] = ("product", "stock", "cart", "order")


class Shop:
    """Commits to the real log."""

    def __init__(self, store: PostgresEventStore) -> None:
        self.store = store
        self.position = 0

    async def happened(self, *aggregates: EventSourced) -> int:
        self.position = max(await self.store.append(collected(*aggregates), {}))
        return self.position


@pytest.fixture
def shop(event_store: PostgresEventStore) -> Shop:
    return Shop(event_store)


@pytest.fixture
def views(redis_client: Redis) -> Views:
    return Views(redis_client)


@asynccontextmanager
async def projecting(
    database_url: str, redis_url: str, registry: CollectorRegistry | None = None, **bounds: Any
) -> AsyncIterator[Projector]:
    metrics = ProjectorMetrics(registry or CollectorRegistry())
    async with (
        open_projector(database_url, redis_url, metrics, **bounds) as projector,
        asyncio.TaskGroup() as group,  # a projector that ends ends the test, with its reason
    ):
        running = group.create_task(projector.run())
        yield projector
        running.cancel()


async def until_all_hold(views: Views, position: int) -> None:
    await eventually(lambda: views.positions(VIEWS), lambda positions: min(positions) >= position)


async def test_what_is_committed_is_seen_in_every_view(
    database_url: str, redis_url: str, shop: Shop, views: Views
) -> None:
    async with projecting(database_url, redis_url) as projector:
        adas = order("customer:ada", 1)
        position = await shop.happened(product(), stock(), cart("customer:ada"), adas)
        await until_all_hold(views, position)
        assert (await views.products(["lamp"]))["lamp"].availability.quantity == 10
        assert (await views.orders([adas.order_id]))[0] is not None
        await eventually(current(projector.positions), lambda held: set(held.values()) == {position})
        assert set(projector.positions()) == {*VIEWS, "search", "sales"}
        assert projector.troubles() == {}


async def test_it_goes_on_where_it_was(database_url: str, redis_url: str, shop: Shop, views: Views) -> None:
    registry = CollectorRegistry()
    async with projecting(database_url, redis_url):
        first = await shop.happened(product(), stock())
        await until_all_hold(views, first)
    second = await shop.happened(product("chair"))
    taken = partial(registry.get_sample_value, "counterfoil_projection_events_total", {"projection": "product"})
    async with projecting(database_url, redis_url, registry):
        await until_all_hold(views, second)
        # It hears a moment later of what it has stored than who reads it there.
        await eventually(current(taken), lambda count: count is not None and count > 0)
    assert taken() == second - first


async def test_concurrent_writers_lose_nothing(database_url: str, redis_url: str, shop: Shop, views: Views) -> None:
    """Several connections commit at once while the log is read: positions may come with gaps, never out of order."""
    others = [PostgresEventStore(database_url) for _ in range(4)]
    try:
        async with projecting(database_url, redis_url, batch_size_events=7):
            skus = [f"{writer}-{n}" for writer in range(4) for n in range(25)]
            await asyncio.gather(
                *(
                    write(others[int(writer)], [sku for sku in skus if sku.startswith(f"{writer}-")])
                    for writer in "0123"
                )
            )
            await until_all_hold(views, await shop.store.last_position())
        shown = await views.products(skus)
        assert {sku: page.availability.quantity for sku, page in shown.items()} == dict.fromkeys(skus, 10)
    finally:
        for store in others:
            store.close()


async def write(store: PostgresEventStore, skus: list[str]) -> None:
    for sku in skus:
        await store.append(collected(product(sku), stock(sku)), {})


async def test_from_commit_to_visible_takes_little(database_url: str, redis_url: str, shop: Shop, views: Views) -> None:
    lamps = stock()
    async with projecting(database_url, redis_url):
        await until_all_hold(views, await shop.happened(product(), lamps))
        lags = []
        for _ in range(100):
            lamps.receive(1, cause())
            position = await shop.happened(lamps)
            committed = time.monotonic()
            while min(await views.positions(VIEWS)) < position:
                assert time.monotonic() < committed + 5
                await asyncio.sleep(0.001)
            lags.append(time.monotonic() - committed)
    p99 = quantiles(lags, n=100)[98]
    print(f"lag from commit to visible: p50 {quantiles(lags, n=2)[0] * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    # Half of them: one hiccup of a busy machine is not a slow projector.
    assert quantiles(lags, n=2)[0] < LAG_LIMIT_SECONDS


async def test_an_announcement_that_is_lost_costs_one_poll(
    database_url: str, redis_url: str, shop: Shop, views: Views
) -> None:
    async with projecting(database_url, redis_url, poll_seconds=0.1):
        await until_all_hold(views, await shop.happened(product()))
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        await until_all_hold(views, await shop.happened(stock()))


class TestPoison:
    async def test_it_is_put_aside_with_its_reason_and_the_others_go_on(
        self, database_url: str, redis_url: str, shop: Shop, views: Views, redis_client: Redis
    ) -> None:
        registry = CollectorRegistry()
        async with projecting(database_url, redis_url, registry):
            bad, good = order("customer:ada", 1), order("customer:ada", 2)
            await shop.happened(bad, good)
            position = await shop.happened(poisoned(bad))
            bad.pack("s1", cause())
            good.cancel(None, cause())
            await until_all_hold(views, await shop.happened(bad, good))
            aside = partial(
                registry.get_sample_value, "counterfoil_projection_streams_set_aside", {"projection": "order"}
            )
            await eventually(current(aside), lambda count: count == 1)
        (letter,) = await RedisDeadLetters(redis_client).letters("order")
        assert (letter.position, letter.stream_id, letter.version) == (position, bad.id, 3)
        assert letter.topic == "order.shipment_packed.v1"
        assert letter.reason == "KeyError: 's9'"
        stopped, went_on = await views.orders([bad.order_id, good.order_id])
        assert stopped is not None
        assert went_on is not None
        assert stopped.version == 2, "it stays as it was: what follows builds on what could not be applied"
        assert (went_on.version, b'"cancelled"' in went_on.body) == (3, True)

    async def test_a_repaired_program_takes_the_stream_up_again(
        self, database_url: str, redis_url: str, shop: Shop, views: Views, redis_client: Redis
    ) -> None:
        bad = order("customer:ada", 1)
        async with projecting(database_url, redis_url):
            await shop.happened(bad)
            await shop.happened(poisoned(bad))
            bad.pack("s1", cause())
            await until_all_hold(views, await shop.happened(bad))
        with psycopg.connect(database_url, autocommit=True) as connection:  # as if the program could read it now
            connection.execute(
                """UPDATE log.stored_events SET state = convert_to(
                       replace(convert_from(state, 'UTF8'), '"s9"', '"s1"'), 'UTF8')
                   WHERE topic = 'order.shipment_packed.v1'"""
            )
        async with projecting(database_url, redis_url):
            await eventually(
                lambda: views.orders([bad.order_id]), lambda found: found[0] is not None and found[0].version == 4
            )
            letters = RedisDeadLetters(redis_client)
            await eventually(lambda: letters.streams_set_aside("order"), lambda aside: aside == {})
            assert len(await letters.letters("order")) == 1, "what happened is still on record"

    async def test_too_many_end_the_process(self, database_url: str, redis_url: str, shop: Shop) -> None:
        bad = [order("customer:ada", number) for number in (1, 2, 3)]
        await shop.happened(*bad)
        for number in range(3):
            await shop.happened(poisoned(bad[number]))
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.timeout(10):
                await run_until_it_ends(database_url, redis_url, set_aside_limit_streams=2)
        assert raised.group_contains(CannotGoOn, match="set aside 2 streams")


class TestStores:
    async def test_views_that_are_lost_are_made_again(
        self, database_url: str, redis_url: str, shop: Shop, views: Views, redis_client: Redis
    ) -> None:
        async with projecting(database_url, redis_url, store_check_seconds=0.1, poll_seconds=0.1):
            await until_all_hold(views, await shop.happened(product(), stock()))
            await redis_client.flushdb()
            await until_all_hold(views, shop.position)  # while nothing new happens
            assert (await views.products(["lamp"]))["lamp"].availability.quantity == 10
            await redis_client.flushdb()
            await until_all_hold(views, await shop.happened(product("chair")))
            assert set(await views.products(["lamp", "chair"])) == {"lamp", "chair"}

    async def test_one_view_that_is_lost_is_read_from_its_stream(
        self, database_url: str, redis_url: str, shop: Shop, views: Views, redis_client: Redis
    ) -> None:
        lamps = stock()
        async with projecting(database_url, redis_url):
            await until_all_hold(views, await shop.happened(product(), lamps))
            await redis_client.delete(Keys().stock("lamp"))
            lamps.receive(5, cause())
            await until_all_hold(views, await shop.happened(lamps))
        assert (await views.products(["lamp"]))["lamp"].availability.quantity == 15

    async def test_a_store_that_is_away_is_waited_for(self, database_url: str, shop: Shop) -> None:
        registry = CollectorRegistry()
        port = free_port()
        with ExitStack() as servers:
            url = servers.enter_context(valkey_on(port))
            async with projecting(database_url, url, registry) as projector, open_redis(url) as client:
                await until_all_hold(Views(client), await shop.happened(product()))
                servers.close()
                position = await shop.happened(stock())
                troubles = await eventually(current(projector.troubles), lambda found: set(VIEWS) <= set(found))
                assert "ConnectionError" in troubles["product"]
                # One store's outage is not another's.
                await eventually(current(projector.positions), lambda held: held["search"] == position)
                assert "search" not in projector.troubles()
                servers.enter_context(valkey_on(port))
                await until_all_hold(Views(client), position)
                await eventually(current(projector.troubles), lambda found: found == {})
        assert registry.get_sample_value("counterfoil_projection_retries_total", {"projection": "product"})

    async def test_an_outage_without_end_ends_the_process(self, database_url: str, shop: Shop) -> None:
        await shop.happened(product())
        with valkey_on(free_port()) as url:
            pass
        with pytest.raises(ExceptionGroup):
            async with asyncio.timeout(10):
                await run_until_it_ends(database_url, url, outage_limit_seconds=0.2)

    async def test_views_of_another_log_are_not_touched(
        self, database_url: str, redis_url: str, redis_client: Redis, shop: Shop
    ) -> None:
        await redis_client.hset(Keys().checkpoint("order"), "0", "999")
        with pytest.raises(ExceptionGroup) as raised:
            async with asyncio.timeout(10):
                await run_until_it_ends(database_url, redis_url)
        assert raised.group_contains(CannotGoOn, match="of another log")
        assert await redis_client.hget(Keys().checkpoint("order"), "0") == b"999"


def poisoned(bad: Order) -> Order:
    """Its next event is about a shipment that it does not have: no command could make it."""
    packed = about_a_shipment_that_it_does_not_have(bad)
    packed.mutate(bad)
    bad.pending_events.append(packed)
    return bad


async def run_until_it_ends(database_url: str, redis_url: str, **bounds: Any) -> None:
    async with open_projector(database_url, redis_url, ProjectorMetrics(CollectorRegistry()), **bounds) as projector:
        await projector.run()


def current(ask: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    async def answer() -> T:
        return ask()

    return answer
