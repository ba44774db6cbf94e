"""Reads what the many shoppers' doings say: what is trending, and what is bought with something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import redis.exceptions
from redis.asyncio import Redis

from projections.signals import keys
from projections.signals.trending import window
from queryside.errors import StoreUnavailable

TOP_LIMIT_COUNT: Final = 100
# Adding up an hour is dear for Valkey: the answer serves everybody for so long.
KEPT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Trend:
    """`score` is the weighted number of views and sales in the hour (projections/signals/trending.py)."""

    sku: str
    score: int


@dataclass(frozen=True, slots=True)
class BoughtWith:
    """In `orders_count` orders it was bought together with the product that was asked about."""

    sku: str
    orders_count: int


class Trending:
    """Raises StoreUnavailable when Valkey does not answer in time."""

    def __init__(self, client: Redis, *, kept_seconds: int = KEPT_SECONDS) -> None:
        self._redis = client
        self._kept_seconds = kept_seconds

    async def top(self, count: int, now: datetime) -> list[Trend]:
        """The `count` (1 to 100) highest of the hour that ends with this minute, the highest first."""
        _check(count)
        minutes = window(now)
        kept_key = f"{keys.TRENDING_NOW}:{minutes[-1]}"
        with _answering():
            kept = await self._redis.zrevrange(kept_key, 0, count - 1, withscores=True)
            if not kept:
                kept = await self._add_up(kept_key, minutes, count)
        return [Trend(sku, score) for sku, score in _scores(kept)]

    async def _add_up(self, kept_key: str, minutes: Sequence[int], count: int) -> Any:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zunionstore(kept_key, [keys.bucket(minute) for minute in minutes])
            pipeline.zremrangebyrank(kept_key, 0, -(TOP_LIMIT_COUNT + 1))
            pipeline.expire(kept_key, self._kept_seconds)
            pipeline.zrevrange(kept_key, 0, count - 1, withscores=True)
            return (await pipeline.execute())[-1]


class AlsoBought:
    """Raises StoreUnavailable when Valkey does not answer in time."""

    def __init__(self, client: Redis) -> None:
        self._redis = client

    async def top(self, sku: str, count: int) -> list[BoughtWith]:
        """The `count` (1 to 100) products that were most often bought together with `sku`, the most often first."""
        _check(count)
        with _answering():
            found = await self._redis.zrevrange(keys.bought_with(sku), 0, count - 1, withscores=True)
        return [BoughtWith(other, orders_count) for other, orders_count in _scores(found)]


def _check(count: int) -> None:
    if not 1 <= count <= TOP_LIMIT_COUNT:
        raise ValueError(f"from 1 to {TOP_LIMIT_COUNT} can be asked for, not {count}")


def _scores(found: Any) -> list[tuple[str, int]]:
    return [(sku.decode(), round(score)) for sku, score in found]


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.exceptions.RedisError, OSError) as error:
        raise StoreUnavailable("What shoppers do cannot be read at present.") from error
