from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from opensearchpy import AsyncOpenSearch

from projections.search import open_search_projection
from projections.search.opensearch_client import open_opensearch
from projections.search.opensearch_feed import SearchFeed
from projections.search.opensearch_index import Names
from projections.search.opensearch_state import IndexState, Progress
from queryside.search import SearchEngine
from queryside.search.opensearch import OpenSearch
from tests.integration.search.contract import SearchContract
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import Index
from tests.integration.search.test_postgres_contract import TABLES

TIMEOUT_SECONDS = 30.0
NAMES = Names("contract")
indexed = Shop()


class TestOpenSearch(SearchContract):
    @pytest.fixture
    async def index(self, module_database_url: str, opensearch_url: str) -> AsyncIterator[Index]:
        client = open_opensearch(opensearch_url, timeout_seconds=TIMEOUT_SECONDS)
        engine, feed = OpenSearch(client, NAMES), SearchFeed(module_database_url, client, NAMES)
        async with open_search_projection(module_database_url, Shop()) as projection:
            begun = False

            async def index(shop: Shop) -> SearchEngine:
                nonlocal begun
                if shop.history == indexed.history:  # by the test before: most of them look at the same shop
                    return engine
                if not begun:
                    await empty(client, emptied_tables(module_database_url))
                    await projection.checkpoint()
                begun = True
                await projection.apply(shop.history, shop.position)
                await feed.flush()
                indexed.history = list(shop.history)
                return engine

            yield index
        await client.close()


def emptied_tables(url: str) -> str:
    """Which tables they are."""
    with psycopg.connect(url, autocommit=True) as connection:
        # Ids go on: a document that was removed keeps its version for a while.
        connection.execute(f"SET search_path = search; TRUNCATE {TABLES}".encode())
        row = connection.execute("SELECT tables_id::text FROM search.identity").fetchone()
    assert row is not None
    return str(row[0])


async def empty(client: AsyncOpenSearch, tables_id: str) -> None:
    """The indexes as they are when they are new: to make them for each test would take most of the time."""
    state = IndexState(client, NAMES)
    indexed.history = []
    generation = await state.live()
    if generation is None:
        return
    await client.delete_by_query(
        index=f"{NAMES.products},{NAMES.suggestions}",
        body={"query": {"match_all": {}}},
        params={"refresh": "true", "conflicts": "proceed"},
    )
    await state.save(generation, Progress(tables_id))
