"""The copy of the search tables in OpenSearch is exact, whatever ends in the middle of what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import psycopg
import pytest
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import ConnectionError as Unreachable
from opensearchpy.exceptions import TransportError

from projections.search import SearchProjection, open_search_projection
from projections.search import opensearch_rows as rows
from projections.search.opensearch_client import open_opensearch
from projections.search.opensearch_feed import SearchFeed
from projections.search.opensearch_index import Names
from projections.search.opensearch_state import IndexState
from queryside.search import SearchQuery
from queryside.search.opensearch import OpenSearch
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import skus, small_shop
from tests.integration.search.test_postgres_contract import TABLES

pytestmark = pytest.mark.long
TIMEOUT_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
_numbers = count()


class Index:
    """The tables of one shop, and their copy under names of its own."""

    def __init__(self, url: str, client: AsyncOpenSearch, projection: SearchProjection) -> None:
        self.url = url
        self.client = client
        self.projection = projection
        self.names = Names(f"feed{next(_numbers)}")
        self.feed = SearchFeed(url, client, self.names, pause_seconds=0.02, standby_seconds=0.05)
        self.engine = OpenSearch(client, self.names)
        self.state = IndexState(client, self.names)

    async def happened(self, shop: Shop) -> None:
        """The tables hold it; the copy does not know yet."""
        await self.projection.apply(shop.history, shop.position)

    async def copy(self) -> dict[str, Any]:
        """What is in the live generation, by SKU."""
        found = await self.client.search(
            index=self.names.products, body={"query": {"match_all": {}}}, params={"size": 1000, "version": "true"}
        )
        return {hit["_source"]["sku"]: (hit["_version"], hit["_source"]) for hit in found["hits"]["hits"]}

    async def original(self) -> dict[str, Any]:
        """The same as the tables have it."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            changed = await rows.changed_products(connection, 0)
        documents = [(row.revision, self.client.transport.serializer.loads(row.document)) for row in changed]
        return {document["sku"]: (revision, document) for revision, document in documents}

    async def is_exact(self) -> bool:
        return await self.copy() == await self.original()


@pytest.fixture
async def index(database_url: str, opensearch_url: str) -> AsyncIterator[Index]:
    client = open_opensearch(opensearch_url, timeout_seconds=TIMEOUT_SECONDS)
    async with open_search_projection(database_url, Shop()) as projection:
        index = Index(database_url, client, projection)
        yield index
    await client.indices.delete(index=f"{index.names.prefix}-*")
    await client.close()


@asynccontextmanager
async def running(feed: SearchFeed) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.05)


def without_answers(client: AsyncOpenSearch, nth: int) -> Callable[[], None]:
    """From its `nth` write on the caller of the client learns nothing of what becomes of it, until it is undone."""
    perform, done = client.transport.perform_request, count(1)

    async def cut(method: str, url: str, *arguments: Any, **named: Any) -> Any:
        answer = await perform(method, url, *arguments, **named)
        if method in ("POST", "PUT") and "_search" not in url and next(done) >= nth:
            raise Unreachable("N/A", "cut", None)
        return answer

    client.transport.perform_request = cut  # type: ignore[method-assign]

    def undo() -> None:
        client.transport.perform_request = perform  # type: ignore[method-assign]

    return undo


async def test_holds_what_the_tables_hold_and_says_up_to_where(index: Index) -> None:
    shop = small_shop()
    await index.happened(shop)
    assert await index.feed.flush() == shop.position
    assert await index.is_exact()
    assert await index.engine.position() == shop.position

    shop.sell("o9", mug=4)
    shop.reserve("lamp-red", 2)
    shop.deactivate("chair-red")
    await index.happened(shop)
    assert await index.feed.flush() == shop.position
    assert await index.is_exact()
    assert (await index.copy())["chair-red"][1] == {"listed": False, "sku": "chair-red"}


async def test_events_that_change_nothing_there_move_the_position_all_the_same(index: Index) -> None:
    await index.happened(small_shop())
    await index.feed.flush()
    await index.projection.apply([], 9_999)
    assert await index.feed.flush() == await index.engine.position() == 9_999


@pytest.mark.parametrize("nth", range(1, 13))
async def test_nothing_is_lost_when_the_feed_dies_after_any_of_its_writes(index: Index, nth: int) -> None:
    shop = small_shop()
    await index.happened(shop)
    undo = without_answers(index.client, nth)
    try:
        await index.feed.flush()
        shop.reprice("mug", 777)
        await index.happened(shop)
        await index.feed.flush()
    except TransportError:
        pass
    finally:
        undo()
    shop.reprice("mug", 778)
    await index.happened(shop)
    successor = SearchFeed(index.url, index.client, index.names)
    assert await successor.flush() == shop.position
    assert await index.is_exact()
    assert await index.engine.suggest("mug") == ("Café mug",)
    (mug,) = (await index.engine.search(SearchQuery(text="mug"))).products
    assert mug.price.amount == 778


async def test_what_comes_late_does_not_replace_what_is_newer(index: Index) -> None:
    shop = small_shop()
    await index.happened(shop)
    async with await psycopg.AsyncConnection.connect(index.url) as connection:
        late = await rows.changed_products(connection, 0)
    shop.reprice("mug", 778)
    await index.happened(shop)
    await index.feed.flush()
    await index.feed._send(f"{index.names.products}-1", late)
    await index.client.indices.refresh(index=index.names.products)
    assert await index.is_exact()


async def test_more_than_a_page_is_taken_over_whole(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PAGE_LIMIT_ROWS", 2)
    shop = small_shop()
    await index.happened(shop)
    assert await index.feed.flush() == shop.position
    monkeypatch.undo()
    assert await index.is_exact()
    assert len(await index.engine.suggest("l")) == 5


async def test_a_lost_index_is_made_again(index: Index) -> None:
    await index.happened(small_shop())
    await index.feed.flush()
    await index.client.indices.delete(index=f"{index.names.prefix}-*")
    assert await index.engine.position() == 0
    await index.feed.flush()
    assert await index.is_exact()


async def test_tables_that_begin_again_get_an_index_of_their_own(index: Index) -> None:
    await index.happened(small_shop())
    await index.feed.flush()
    shop = Shop()
    shop.add("only", "The only one")
    with psycopg.connect(index.url, autocommit=True) as connection:
        connection.execute(f"SET search_path = search; TRUNCATE {TABLES} RESTART IDENTITY".encode())
        connection.execute("ALTER SEQUENCE search.revision RESTART")
        connection.execute("UPDATE search.identity SET tables_id = gen_random_uuid()")
    await index.projection.checkpoint()
    await index.happened(shop)
    assert await index.feed.flush() == shop.position
    assert await index.is_exact()
    assert skus(await index.engine.search(SearchQuery())) == ["only"]


async def test_a_rebuild_is_swapped_in_while_the_live_one_is_fed_and_searched(index: Index) -> None:
    shop = small_shop()
    await index.happened(shop)
    await index.feed.flush()
    async with running(index.feed):
        await index.client.delete(index=f"{index.names.products}-1", id="1", params={"refresh": "true"})
        assert not await index.is_exact()
        rebuilder = SearchFeed(index.url, index.client, index.names)
        for generation in (2, 3, 4):
            rebuilding = asyncio.create_task(rebuilder.rebuild())
            while not rebuilding.done():
                assert (await index.engine.search(SearchQuery(text="mug"))).total == 1
            assert await rebuilding == generation
        shop.reprice("mug", 778)
        await index.happened(shop)

        async def there() -> bool:
            return await index.engine.position() == shop.position and await index.is_exact()

        await until(there)
    kept = await index.client.indices.get(index=f"{index.names.products}-*")
    assert set(kept) == {f"{index.names.products}-3", f"{index.names.products}-4"}


async def test_one_feeds_and_another_takes_over(index: Index) -> None:
    other = SearchFeed(index.url, index.client, index.names, pause_seconds=0.02, standby_seconds=0.05)
    shop = small_shop()

    def told(position: int) -> Callable[[], Awaitable[bool]]:
        async def both() -> bool:
            return index.feed.position == other.position == position

        return both

    async with running(other):
        async with running(index.feed):
            await index.happened(shop)
            await until(told(shop.position))
            assert (index.feed.trouble, other.trouble) == (None, None)
        shop.reprice("mug", 778)
        await index.happened(shop)

        async def taken_over() -> bool:
            return other.position == shop.position

        await until(taken_over)
    assert await index.is_exact()


async def test_a_document_that_is_refused_holds_up_no_other(index: Index) -> None:
    shop = small_shop()
    shop.add("long", "Thing", brand="b" * 40_000)
    shop.add("after", "Another thing")
    await index.happened(shop)
    assert await index.feed.flush() == shop.position
    assert index.feed.refused_count == 1
    assert set(await index.original()) - set(await index.copy()) == {"long"}
