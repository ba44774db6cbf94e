from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from projections.valkey import open_redis


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_redis(redis_url, timeout_seconds=10) as client:
        yield client
