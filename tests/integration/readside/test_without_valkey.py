"""Valkey goes down and comes back: product pages, carts and orders go on, by replay of their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from counterfoil.http import problems
from counterfoil.processes.query_api import TRANSLATIONS
from domain.aggregates import EventSourced
from projections.recorded import Recorded
from projections.search import SearchProjection, open_search_projection
from projections.valkey import open_redis
from projections.vocabulary import cart_stream
from queryside.api import Readers, create_app
from queryside.errors import StoreUnavailable
from queryside.fallback import FallbackViews
from queryside.fallback.replay import Replay
from queryside.fallback.shelves import PostgresShelves
from queryside.search.engine import SearchEngine
from streams.postgres_streams import PostgresStreams
from tests.fixtures.ports import free_port
from tests.fixtures.valkey import valkey_on
from tests.integration.readside.conftest import CallerFromHeaders, NoSearch
from tests.integration.readside.shop import MemoryShop, cart, cause, collected, gbp, order, product, stock
from tests.waiting import eventually

ADA = "customer:ada"
HERS = {"x-owner": ADA}


class Shop:
    """Its events are in the event store and the search tables; in Valkey's views when it is told to."""

    def __init__(self, store: PostgresEventStore, search: SearchProjection) -> None:
        self.store = store
        self.search = search
        self.log: list[Recorded] = []

    async def happened(self, *aggregates: EventSourced) -> int:
        events = collected(*aggregates)
        positions = await self.store.append(events, {})
        self.log += [Recorded(position, event) for position, event in zip(positions, events, strict=True)]
        await self.search.apply(self.log, self.log[-1].position)
        return self.log[-1].position

    async def project(self, client: Redis) -> None:
        views = MemoryShop(client)
        views.log = self.log
        await views.project()


@pytest.fixture
async def shop(database_url: str, event_store: PostgresEventStore) -> AsyncIterator[Shop]:
    async with _pool(database_url) as pool, open_search_projection(database_url, PostgresStreams(pool)) as search:
        yield Shop(event_store, search)


@asynccontextmanager
async def serving(database_url: str, client: Redis) -> AsyncIterator[tuple[httpx.AsyncClient, FallbackViews]]:
    async with _pool(database_url) as pool:
        replay = Replay(PostgresStreams(pool), PostgresShelves(pool), timeout_seconds=30)
        views = FallbackViews(client, replay)

        @asynccontextmanager
        async def readers() -> AsyncIterator[Readers]:
            yield Readers(views, cast(SearchEngine, NoSearch()), replay)

        app = create_app(readers(), wait_seconds=0.3)
        problems.install(app, TRANSLATIONS)
        app.add_middleware(CallerFromHeaders)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://query", timeout=60) as http,
        ):
            yield http, views


def _pool(url: str) -> AsyncConnectionPool[psycopg.AsyncConnection]:
    return AsyncConnectionPool(url, min_size=0, max_size=4, timeout=30, kwargs={"autocommit": True}, open=False)


def state_of(views: FallbackViews) -> str:
    return views.breaker.state


async def pages(client: httpx.AsyncClient, order_id: object) -> dict[str, Any]:
    paths: Mapping[str, str] = {
        "product": "/v1/products/lamp",
        "service": "/v1/products/wrap",
        "cart": "/v1/cart",
        "order": f"/v1/orders/{order_id}",
        "stock": "/v1/inventory/lamp",
    }
    answers = {name: await client.get(path, headers=HERS) for name, path in paths.items()}
    assert {answer.status_code for answer in answers.values()} == {200}, answers
    return {name: (answer.json(), answer.headers.get("etag")) for name, answer in answers.items()}


async def test_the_pages_are_the_same_as_from_valkey(database_url: str, shop: Shop) -> None:
    port = free_port()
    bought = order(ADA, 7)
    await shop.happened(
        product(), product("wrap", kind="service"), stock(quantity=10), stock(quantity=4, warehouse_id="south"),
        cart(ADA), bought,
    )  # fmt: skip
    async with open_redis(f"redis://127.0.0.1:{port}/0") as client:
        with valkey_on(port):
            await shop.project(client)
            async with serving(database_url, client) as (http, views):
                before = await pages(http, bought.id)
                assert views.breaker.state == "closed"
        async with serving(database_url, client) as (http, views):
            assert await pages(http, bought.id) == before
            assert views.breaker.state != "closed"
            assert (await http.get("/v1/products/none")).status_code == 404
            assert (await http.get(f"/v1/orders/{bought.id}", headers={"x-owner": "customer:bo"})).status_code == 404
            assert (await http.get(f"/v1/orders/{cart_stream(ADA)}", headers=HERS)).status_code == 404
            assert (await http.get("/v1/cart", headers={"x-owner": "customer:bo"})).json()["items"] == []
            refused = await http.get("/v1/orders", headers=HERS)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0


async def test_one_reads_ones_own_writes(database_url: str, shop: Shop) -> None:
    await shop.happened(product(), stock())
    async with (
        open_redis(f"redis://127.0.0.1:{free_port()}/0") as client,
        serving(database_url, client) as (http, _),
    ):
        position = await shop.happened(filled := cart(ADA))
        there = {"min-position": str(position), "min-version": str(filled.version), **HERS}
        assert (await http.get("/v1/cart", headers=there)).json()["version"] == filled.version
        for header, number in (("min-position", position + 1), ("min-version", filled.version + 1)):
            late = await http.get("/v1/cart", headers={header: str(number), **HERS})
            assert (late.status_code, late.json()["type"].rpartition("/")[2]) == (503, "not-there-in-time")


async def test_valkey_that_came_back_empty_is_not_read_before_its_views_are_built_again(
    database_url: str, shop: Shop
) -> None:
    port = free_port()
    await shop.happened(lamp := product(price=1000), stock())
    async with open_redis(f"redis://127.0.0.1:{port}/0") as client, serving(database_url, client) as (http, views):
        with valkey_on(port):
            await shop.project(client)
            assert (await http.get("/v1/products/lamp")).json()["price"]["amount"] == 1000
        for _ in range(4):
            assert (await http.get("/v1/products/lamp")).status_code == 200
        assert state_of(views) != "closed"
        lamp.reprice(gbp(1200), cause())
        await shop.happened(lamp)
        with valkey_on(port):
            for _ in range(40):
                answer = await http.get("/v1/products/lamp")
                assert (answer.status_code, answer.json()["price"]["amount"]) == (200, 1200)
                await asyncio.sleep(0.05)
            assert state_of(views) != "closed"
            await shop.project(client)

            async def state() -> str:
                assert (await http.get("/v1/products/lamp")).json()["price"]["amount"] == 1200
                return state_of(views)

            await eventually(state, lambda seen: seen == "closed")


async def test_with_postgres_down_too_the_caller_is_told(database_url: str) -> None:
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none?connect_timeout=1"
    async with open_redis(f"redis://127.0.0.1:{free_port()}/0") as client, _pool(nowhere) as pool:
        views = FallbackViews(client, Replay(PostgresStreams(pool), PostgresShelves(pool), timeout_seconds=0.3))
        with pytest.raises(StoreUnavailable):
            await views.stored_products(["lamp"])
        with pytest.raises(StoreUnavailable):
            await views.cart(str(cart_stream(ADA)))


async def test_so_many_streams_are_read_at_once_and_no_more() -> None:
    class Slow:
        at_once = most = 0

        async def read_stream(self, *_: object) -> Sequence[Any]:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await asyncio.sleep(0.01)
            self.at_once -= 1
            return []

        async def levels(self, skus: Sequence[str]) -> dict[str, Any]:
            return {}

        async def position(self) -> int:
            return 0

    slow = Slow()
    replay = Replay(slow, slow, at_once_limit_count=3, waiting_limit_count=17)
    found = await asyncio.gather(*(replay.product(f"p{n}") for n in range(30)), return_exceptions=True)
    assert slow.most == 3
    assert sum(product is None for product in found) == 20
    assert {type(error).__name__ for error in found if error is not None} == {"TooManyWaiting"}
