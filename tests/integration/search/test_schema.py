from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from projections.search import open_search_projection, schema
from queryside.search import SearchQuery
from queryside.search.postgres import open_postgres_search
from tests.integration.search.small_shop import skus, small_shop

DATABASE, OWNER = "search_schema_test", "search_schema_owner"


@pytest.fixture
def owner_url(postgres_url: str) -> Iterator[str]:
    """An empty database of an ordinary user, who is no superuser."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{OWNER}'".encode())
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}".encode())
        yield make_conninfo(postgres_url, dbname=DATABASE, user=OWNER, password=OWNER)
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)".encode())
        connection.execute(f"DROP ROLE {OWNER}".encode())


@pytest.mark.parametrize("extensions_in", ["search", "public", "Some schema"])
async def test_an_ordinary_user_can_make_and_drop_it(owner_url: str, extensions_in: str) -> None:
    with psycopg.connect(owner_url) as connection:
        if extensions_in != "search":
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{extensions_in}"'.encode())
            for extension in ("unaccent", "fuzzystrmatch"):
                connection.execute(f'CREATE EXTENSION {extension} SCHEMA "{extensions_in}"'.encode())
        for step in schema.STEPS:
            connection.execute(step.encode())
    shop = small_shop()
    async with open_search_projection(owner_url, shop) as projection, open_postgres_search(owner_url) as engine:
        await projection.apply(shop.history, shop.position)
        assert skus(await engine.search(SearchQuery(text="café"))) == ["mug"]
        assert (await engine.search(SearchQuery(text="vintge"))).corrected_query == "vintage"
    with psycopg.connect(owner_url) as connection:
        connection.execute(schema.DROP.encode())
        left = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'search'").fetchone()
    assert left == (0,)
