"""Where the reading of each Kafka partition stands: that nothing is left out, and where it goes on another time."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from redis.asyncio import Redis

from projections.keys import Keys
from streams.feeder import CannotGoOn

# KEYS: the checkpoint, the offsets. ARGV: the fields that there are to be. Where there are others (another number of
# partitions, or the whole log as one), none of the old partitions is one of the new ones: each begins with what all of
# the old ones hold, and is read from its beginning.
_DIVIDE = """
local wanted, held, least, same = {}, redis.call('HGETALL', KEYS[1]), nil, true
for _, field in ipairs(ARGV) do wanted[field] = true end
for i = 1, #held, 2 do
  local position = tonumber(held[i + 1])
  least = math.min(least or position, position)
  same = same and wanted[held[i]] ~= nil
end
if same and #held / 2 == #ARGV then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
for _, field in ipairs(ARGV) do redis.call('HSET', KEYS[1], field, string.format('%.0f', least or 0)) end
return 1
"""

# KEYS: the checkpoint, the offsets. ARGV: for each partition its name, the position that the store must hold at least,
# and the offset. Nothing is written where one of the checkpoints has fallen behind: returns that partition.
_WRITE = """
for i = 1, #ARGV, 3 do
  local held = tonumber(redis.call('HGET', KEYS[1], ARGV[i]))
  if held == nil or held < tonumber(ARGV[i + 1]) then return ARGV[i] end
end
for i = 1, #ARGV, 3 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 2]) end
return false
"""


class Place:
    """How far one agent has come in one partition, since it was given that partition."""

    def __init__(self, partition: str, generation: int, begins_at: int | None) -> None:
        """`begins_at` is the first offset that it needs; None: the store does not know of any."""
        self.generation = generation
        self.next_offset = begins_at
        self.has_begun = False
        self._partition = partition

    def reaches_back(self, first_offset: int) -> bool:
        """Whether nothing is missing before the first chunk that is there: what is, the log has (streams/forgotten.py).

        Where the store knows of no offset, nobody can tell: not even of a partition that begins at 0, for a topic may
        have been made anew.
        """
        return self.next_offset is not None and first_offset <= self.next_offset

    def begin(self, first_offset: int) -> None:
        """All before that chunk is applied."""
        self.has_begun = True
        self.next_offset = max(self.next_offset or 0, first_offset)

    def check(self, first_offset: int) -> None:
        """To be asked before a chunk is applied. Raises CannotGoOn when something was left out before it."""
        if self.next_offset is not None and first_offset > self.next_offset:
            raise CannotGoOn(
                f"{self._partition} goes on at offset {first_offset}, and what is at {self.next_offset} was not seen: "
                "the topic no longer holds it, or it was lost on the way."
            )

    def advance(self, last_offset: int) -> None:
        """All up to there is applied."""
        self.next_offset = max(self.next_offset or 0, last_offset + 1)


class StoredPlaces:
    """Offsets beside the checkpoints of a view. They are written after what was applied, and so never ahead of it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._divide = redis.register_script(_DIVIDE)
        self._write = redis.register_script(_WRITE)

    async def prepare(self, keys: Keys, projection: str, partitions: Collection[str]) -> None:
        """Every partition has a checkpoint from now on, so that a view's position is that of the last of them all."""
        await self._divide(keys=[keys.checkpoint(projection), keys.offsets(projection)], args=list(partitions))

    async def join(self, keys: Keys, projection: str, partitions: Collection[str]) -> None:
        """The same for a generation that is being built: what it holds of the whole log stays beside it."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            for partition in partitions:
                pipeline.hsetnx(keys.checkpoint(projection), partition, "0")
            await pipeline.execute()

    async def offsets(self, keys: Keys, projection: str, partitions: Collection[str]) -> dict[str, int | None]:
        """None for a partition of which the store holds nothing."""
        if not partitions:
            return {}
        stored = await self._redis.hmget(keys.offsets(projection), list(partitions))
        return {name: None if offset is None else int(offset) for name, offset in zip(partitions, stored, strict=True)}

    async def write(self, keys: Keys, projection: str, places: Mapping[str, tuple[int, int]]) -> str | None:
        """Each partition's offset, beside the position that it stands for; all of them or none.

        Returns a partition of which the store does not hold that position any more: in a store that was emptied an
        offset would outlive what it stands for, and whoever begins there would leave out all before it.
        """
        arguments = [part for name, (position, offset) in places.items() for part in (name, position, offset)]
        lost = await self._write(keys=[keys.checkpoint(projection), keys.offsets(projection)], args=arguments)
        return None if lost is None else str(lost, "utf-8")
