"""The letters that are to be written, in Valkey: only of which event, nothing of what they will say or to whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

from projections.keys import ROOT
from projections.writes import Checkpoint, CheckpointLost

PREFIX: Final = f"{ROOT}:notifications"
# A sorted set: `<order id>:<version>` -> when it is to be tried next (seconds since 1970).
OUTBOX: Final = f"{PREFIX}:outbox"
# A hash: how often it was tried.
ATTEMPTS: Final = f"{PREFIX}:attempts"
# The position in the log up to which nobody is written to: where it ended when notifications were first switched on.
SINCE: Final = f"{PREFIX}:since"
WAITING_LIMIT_LETTERS: Final = 1_000_000

# KEYS: the checkpoint. ARGV: the partition, where it stands at the least. Answers where it stands.
_BEGIN: Final = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if held < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  return tonumber(ARGV[2])
end
return held
"""

# KEYS: the checkpoint, the outbox, then a note per letter. ARGV: the partition, the position that the caller believes
# is held, the new one, the time now, the most letters that may wait, how long a note is kept (seconds); then per
# letter its name. The note outlives the letter: an event that comes again is not written about again.
# Answers the position held, and how many letters there was no room for.
_POST: Final = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if held < tonumber(ARGV[2]) then
  return {held, 0}
end
local room, turned_away = tonumber(ARGV[5]) - redis.call('ZCARD', KEYS[2]), 0
for i = 7, #ARGV do
  if redis.call('SET', KEYS[i - 4], 1, 'NX', 'EX', ARGV[6]) then
    if room > 0 then
      redis.call('ZADD', KEYS[2], ARGV[4], ARGV[i])
      room = room - 1
    else
      turned_away = turned_away + 1
    end
  end
end
if tonumber(ARGV[3]) > held then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  held = tonumber(ARGV[3])
end
return {held, turned_away}
"""

# KEYS: the outbox, the attempts. ARGV: the time now, until when they are the caller's, how many. Answers names and
# numbers of attempts by turns.
_TAKE: Final = """
local taken = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  redis.call('ZADD', KEYS[1], ARGV[2], name)
  taken[#taken + 1] = name
  taken[#taken + 1] = redis.call('HGET', KEYS[2], name) or '0'
end
return taken
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """A letter is to be written about this event of an order. `attempts_count` is how often that was tried."""

    order_id: UUID
    version: int
    attempts_count: int = 0

    @property
    def name(self) -> str:
        return f"{self.order_id}:{self.version}"


class Outbox:
    """Every method raises redis' own errors."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._begin = redis.register_script(_BEGIN)
        self._post = redis.register_script(_POST)
        self._take = redis.register_script(_TAKE)

    async def settle_since(self, log_end: Callable[[], Awaitable[int]]) -> int:
        """The position up to which nobody is written to: the end of the log when that was first asked."""
        if await self._redis.get(SINCE) is None:
            await self._redis.set(SINCE, await log_end(), nx=True)
        return int(await self._redis.get(SINCE) or 0)

    async def begin(self, checkpoint_key: str, partition: str, since: int) -> int:
        """Where this partition stands, at `since` at the least."""
        return int(await self._begin(keys=[checkpoint_key], args=[partition, since]))

    async def post(
        self, notices: Sequence[Notice], checkpoint: Checkpoint, now: datetime, kept_for: timedelta
    ) -> tuple[int, int]:
        """Each notice once within `kept_for`. Returns the position held, and how many there was no room for.

        Raises CheckpointLost.
        """
        keys = [checkpoint.key, OUTBOX, *(f"{PREFIX}:noted:{notice.name}" for notice in notices)]
        arguments: list[str | int | float] = [
            checkpoint.partition,
            checkpoint.expected_position,
            checkpoint.new_position,
            now.timestamp(),
            WAITING_LIMIT_LETTERS,
            int(kept_for.total_seconds()),
            *(notice.name for notice in notices),
        ]
        held, turned_away_count = map(int, await self._post(keys=keys, args=arguments))
        if held < checkpoint.expected_position:
            raise CheckpointLost(checkpoint.projection, checkpoint.expected_position, held)
        return held, turned_away_count

    async def take(self, now: datetime, claim_seconds: float, count: int) -> list[Notice]:
        """Those that are due, the longest due first. They are nobody else's for so long, and then due again."""
        at = now.timestamp()
        flat = await self._take(keys=[OUTBOX, ATTEMPTS], args=[at, at + claim_seconds, count])
        return [_notice(name.decode(), int(tried)) for name, tried in zip(flat[::2], flat[1::2], strict=True)]

    async def done(self, notice: Notice) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zrem(OUTBOX, notice.name)
            pipeline.hdel(ATTEMPTS, notice.name)
            await pipeline.execute()

    async def put_back(self, notice: Notice, due_at: datetime, *, as_attempt: bool) -> None:
        """To be tried again. `as_attempt`: that it was tried counts against it."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.zadd(OUTBOX, {notice.name: due_at.timestamp()})
            if as_attempt:
                pipeline.hincrby(ATTEMPTS, notice.name, 1)
            await pipeline.execute()

    async def waiting_count(self) -> int:
        return int(await self._redis.zcard(OUTBOX))


def _notice(name: str, attempts_count: int) -> Notice:
    order_id, _, version = name.rpartition(":")
    return Notice(UUID(order_id), int(version), attempts_count)
