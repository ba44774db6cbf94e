"""Counts sales in Valkey, each exactly once.

The mark is an order's own: its id enters a set in the same script that raises the counters. So it does not matter how
often, in which order or by how many at once it is told. A position alone would not do: an order that was put aside and
is tried again lies behind it, and so does everything when partitions are dealt out anew and read from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from redis.asyncio import Redis

from projections.signals import keys
from projections.signals.sale import Sale
from projections.signals.trending import (
    BUCKET_GATHERED_LIMIT_SKUS,
    BUCKET_KEPT_LIMIT_SKUS,
    SALE_WEIGHT,
    kept_for_seconds,
    minute_of,
)
from projections.writes import Checkpoint, CheckpointLost

# Of each product the products most often bought with it. It may gather more between, so that a newcomer can rise.
BOUGHT_WITH_KEPT_LIMIT_SKUS: Final = 100
BOUGHT_WITH_GATHERED_LIMIT_SKUS: Final = 200
# What one call may count, so that Valkey is not kept from others for long. An order alone may be more.
CALL_LIMIT_PAIRS: Final = 5_000
CALL_LIMIT_SALES: Final = 500

# KEYS: the checkpoint; then per sale the set of those counted, the minute's bucket, and one per product.
# ARGV: the partition, the position that the caller believes is held, the new one (0: leave it), the weight of a sale,
# the limits of a bucket and of a product's others (gathered, kept); then per sale its id, how long its bucket is kept
# (seconds; 0: it has none), and how many products, and which. Answers the position held.
_COUNT: Final = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if held < tonumber(ARGV[2]) then
  return held
end
local function trim(key, gathered, kept)
  if redis.call('ZCARD', key) > tonumber(gathered) then
    redis.call('ZREMRANGEBYRANK', key, 0, -(tonumber(kept) + 1))
  end
end
local a, k = 9, 2
while a <= #ARGV do
  local kept_for, count = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  if redis.call('SADD', KEYS[k], ARGV[a]) == 1 then
    for i = 1, count do
      if kept_for > 0 then
        redis.call('ZINCRBY', KEYS[k + 1], ARGV[4], ARGV[a + 2 + i])
      end
      for j = 1, count do
        if j ~= i then
          redis.call('ZINCRBY', KEYS[k + 1 + i], 1, ARGV[a + 2 + j])
        end
      end
      trim(KEYS[k + 1 + i], ARGV[7], ARGV[8])
    end
    if kept_for > 0 and count > 0 then
      trim(KEYS[k + 1], ARGV[5], ARGV[6])
      redis.call('EXPIRE', KEYS[k + 1], ARGV[a + 1])
    end
  end
  a = a + 3 + count
  k = k + 2 + count
end
if tonumber(ARGV[3]) > held then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  return tonumber(ARGV[3])
end
return held
"""


class SalesCounters:
    """Raises CheckpointLost, and redis' own errors: then some of the sales may be counted, and can be given again."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_COUNT)

    async def count(self, sales: Sequence[Sale], checkpoint: Checkpoint, now: datetime) -> int:
        """Returns the position held afterwards. The checkpoint moves with the last of the sales."""
        held, parts = checkpoint.expected_position, _parts(sales)
        for number, part in enumerate(parts, start=1):
            new_position = checkpoint.new_position if number == len(parts) else 0
            held = await self._call(part, checkpoint, new_position, now)
            if held < checkpoint.expected_position:
                raise CheckpointLost(checkpoint.projection, checkpoint.expected_position, held)
        return held

    async def _call(self, sales: Sequence[Sale], checkpoint: Checkpoint, new_position: int, now: datetime) -> int:
        names = [checkpoint.key]
        arguments: list[str | bytes | int] = [
            checkpoint.partition,
            checkpoint.expected_position,
            new_position,
            SALE_WEIGHT,
            BUCKET_GATHERED_LIMIT_SKUS,
            BUCKET_KEPT_LIMIT_SKUS,
            BOUGHT_WITH_GATHERED_LIMIT_SKUS,
            BOUGHT_WITH_KEPT_LIMIT_SKUS,
        ]
        for sale in sales:
            minute = minute_of(sale.placed_at)
            names += (keys.counted(sale.order_id), keys.bucket(minute), *map(keys.bought_with, sale.skus))
            arguments += (sale.order_id.bytes, kept_for_seconds(minute, now), len(sale.skus), *sale.skus)
        return int(await self._script(keys=names, args=arguments))


def _parts(sales: Sequence[Sale]) -> list[list[Sale]]:
    """At least one, which may be empty."""
    parts: list[list[Sale]] = [[]]
    pairs_count = 0
    for sale in sales:
        full = len(parts[-1]) >= CALL_LIMIT_SALES or pairs_count + sale.pairs_count > CALL_LIMIT_PAIRS
        if parts[-1] and full:
            parts.append([])
            pairs_count = 0
        parts[-1].append(sale)
        pairs_count += sale.pairs_count
    return parts
