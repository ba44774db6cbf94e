from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from projections.valkey import open_redis
from tests.integration.rebuild.beside import Stores


@pytest.fixture
def event_store(database_url: str) -> Iterator[PostgresEventStore]:
    store = PostgresEventStore(database_url)
    yield store
    store.close()


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url, timeout_seconds=5) as client:
        yield client


@pytest.fixture
async def stores(
    database_url: str, redis_url: str, redis_client: Redis, event_store: PostgresEventStore
) -> AsyncIterator[Stores]:
    pool: AsyncConnectionPool[psycopg.AsyncConnection] = AsyncConnectionPool(
        database_url, kwargs={"autocommit": True}, min_size=0, max_size=6, timeout=10, open=False
    )
    async with pool:
        yield Stores(database_url, redis_url, redis_client, pool, event_store)
