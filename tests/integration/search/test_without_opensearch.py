"""OpenSearch goes down and comes back: search goes on, on Postgres, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ops.server import Server
from projections.search import SearchProjection, open_search_projection
from projections.search.opensearch_client import open_opensearch
from projections.search.opensearch_feed import SearchFeed
from queryside.fallback import FallbackSearch
from queryside.search import InvalidCursor, SearchQuery
from queryside.search.opensearch import open_opensearch_search
from queryside.search.postgres import open_postgres_search
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import skus, small_shop

pytestmark = pytest.mark.long
PATIENCE_SECONDS = 60.0
QUERY = SearchQuery(text="lamp")


@pytest.fixture
async def projection(database_url: str) -> AsyncIterator[SearchProjection]:
    async with open_search_projection(database_url, Shop()) as projection:
        yield projection


async def engine_is(search: FallbackSearch, name: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if (await search.search(QUERY)).engine == name:
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_search_goes_on_and_comes_back_with_what_happened_meanwhile(
    database_url: str, own_opensearch: Server, projection: SearchProjection
) -> None:
    url = f"http://{own_opensearch.address}"
    shop = small_shop()
    await projection.apply(shop.history, shop.position)
    client = open_opensearch(url, timeout_seconds=30)
    feed = SearchFeed(database_url, client, longest_pause_seconds=0.5)
    async with (
        open_postgres_search(database_url, statement_timeout_seconds=30, wait_timeout_seconds=30) as postgres,
        open_opensearch_search(url, timeout_seconds=10) as opensearch,
    ):
        search = FallbackSearch(opensearch, postgres)
        # An index that is not made yet is as good as none.
        assert (await search.search(QUERY)).engine == "postgres"
        feeding = asyncio.create_task(feed.run())
        try:
            await engine_is(search, "opensearch")
            by_price = SearchQuery(sort="price_asc", limit=2)
            first = await search.search(by_price)
            by_words = replace(QUERY, limit=1)
            ranked = await search.search(by_words)
            assert first.engine == ranked.engine == "opensearch"

            await asyncio.to_thread(own_opensearch.kill)
            for query in (QUERY, SearchQuery(category=("Home",)), SearchQuery(text="vintge")):
                result = await search.search(query)
                assert result.engine == "postgres"
                assert result.total > 0
            assert await search.suggest("lum") == ("Lumen",)
            assert await search.has_category(("Kitchen",))
            assert len(await search.categories()) == 4
            second = await search.search(replace(by_price, cursor=first.next_cursor))
            assert (skus(second), second.engine) == (["lamp-red", "lamp-blue"], "postgres")
            with pytest.raises(InvalidCursor):
                await search.search(replace(by_words, cursor=ranked.next_cursor))
            shop.add("lamp-new", "New lamp")
            await projection.apply(shop.history, shop.position)
            assert "lamp-new" in skus(await search.search(QUERY))
            assert feed.trouble is not None or feed.position < shop.position

            await asyncio.to_thread(own_opensearch.start)
            await engine_is(search, "opensearch")
            assert "lamp-new" in skus(await search.search(QUERY))
            assert await search.position() == shop.position
            third = await search.search(replace(by_price, cursor=second.next_cursor))
            assert third.engine == "opensearch"
            assert skus(third) == ["lamp-old", "chair-red"] or "lamp-new" in skus(third)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await client.close()
