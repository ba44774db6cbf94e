from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from projections.search import open_search_projection
from queryside.search import SearchEngine
from queryside.search.postgres import open_postgres_search
from tests.integration.search.contract import SearchContract
from tests.integration.search.shop import Shop
from tests.integration.search.small_shop import Index

TABLES = "products, documents, vectors, categories, brands, stock, orders, lexicon, checkpoint, changes, suggestions"


class TestPostgresSearch(SearchContract):
    @pytest.fixture
    async def index(self, module_database_url: str) -> AsyncIterator[Index]:
        with psycopg.connect(module_database_url, autocommit=True) as connection:
            connection.execute(f"SET search_path = search; TRUNCATE {TABLES} RESTART IDENTITY".encode())
        async with (
            open_search_projection(module_database_url, Shop()) as projection,
            open_postgres_search(module_database_url) as engine,
        ):

            async def index(shop: Shop) -> SearchEngine:
                await projection.apply(shop.history, shop.position)
                return engine

            yield index
