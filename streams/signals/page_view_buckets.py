"""Page views in the minutes' buckets, whoever brings them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from redis.asyncio import Redis

from projections.signals import keys
from projections.signals.trending import (
    BUCKET_GATHERED_LIMIT_SKUS,
    BUCKET_KEPT_LIMIT_SKUS,
    VIEW_WEIGHT,
    kept_for_seconds,
    minute_of,
)

NAME: Final = "page_views"

# KEYS: the offsets, then one bucket per minute. ARGV: the partition (empty: there is none), the offset behind what is
# counted here, the limits of a bucket (gathered, kept); then per minute how long it is kept (seconds) and how many
# products, and each product's score and name. Answers 0 when that was counted before.
_ADD: Final = """
if ARGV[1] ~= '' then
  if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') >= tonumber(ARGV[2]) then return 0 end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local a = 5
for k = 2, #KEYS do
  local count = tonumber(ARGV[a + 1])
  for i = 1, count do
    redis.call('ZINCRBY', KEYS[k], ARGV[a + 2 * i], ARGV[a + 2 * i + 1])
  end
  if redis.call('ZCARD', KEYS[k]) > tonumber(ARGV[3]) then
    redis.call('ZREMRANGEBYRANK', KEYS[k], 0, -(tonumber(ARGV[4]) + 1))
  end
  redis.call('EXPIRE', KEYS[k], ARGV[a])
  a = a + 2 + 2 * count
end
return 1
"""


@dataclass(frozen=True, slots=True)
class PageViews:
    """How often the page of one product was looked at, at about that time."""

    sku: str
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """Which part of a Kafka partition something was counted from. `offsets_key` is a hash."""

    offsets_key: str
    partition: str
    next_offset: int


class PageViewBuckets:
    """Raises redis' own errors."""

    def __init__(self, redis: Redis, now: Callable[[], datetime]) -> None:
        self._now = now
        self._script = redis.register_script(_ADD)

    async def put(self, counts: Mapping[str, int], at: datetime) -> None:
        """Counts what was seen; SKU -> how often."""
        await self.add([PageViews(sku, count, at) for sku, count in counts.items()])

    async def add(self, views: Sequence[PageViews], mark: Mark | None = None) -> None:
        """All at once, and nothing where the mark was passed before. What is too old for any bucket is left out."""
        now, buckets = self._now(), defaultdict[int, Counter[str]](Counter)
        for view in views:
            minute = minute_of(view.at)
            if kept_for_seconds(minute, now) > 0:
                buckets[minute][view.sku] += view.count * VIEW_WEIGHT
        names = [mark.offsets_key if mark else keys.PREFIX]
        arguments: list[str | int] = [mark.partition if mark else "", mark.next_offset if mark else 0]
        arguments += (BUCKET_GATHERED_LIMIT_SKUS, BUCKET_KEPT_LIMIT_SKUS)
        for minute, scores in buckets.items():
            names.append(keys.bucket(minute))
            arguments += (kept_for_seconds(minute, now), len(scores))
            for sku, score in scores.items():
                arguments += (score, sku)
        await self._script(keys=names, args=arguments)
