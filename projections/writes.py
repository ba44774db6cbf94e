"""What a batch changes in Valkey, written by one script: nobody sees a part of it, and the checkpoint comes last.

A write says which version of its stream it was made from, and never replaces one of the same or a later version. A view
at version n is the same whoever computes it, so that is all it takes: redelivery, reordering of batches and two writers
at once (as when a partition moves) change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from projections.stock_level import StockLevel

Argument = str | bytes | int

# KEYS: the checkpoint, then one per write.
# ARGV: the partition, the position that the caller believes is held, the new one; then the writes, each as its
# `arguments` gives it. Answers the position held; one below what the caller believes means that nothing was written.
SCRIPT = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if held < tonumber(ARGV[2]) then
  return held
end
local a, k = 4, 2
while a <= #ARGV do
  local kind, key = ARGV[a], KEYS[k]
  if kind == 'document' then
    local fields = tonumber(ARGV[a + 2])
    if tonumber(ARGV[a + 1]) > tonumber(redis.call('HGET', key, 'version') or '0') then
      redis.call('HSET', key, 'version', ARGV[a + 1], unpack(ARGV, a + 3, a + 2 + 2 * fields))
    end
    a = a + 3 + 2 * fields
  elseif kind == 'level' then
    local stored = redis.call('HGET', key, ARGV[a + 1])
    local version, on_hand, reserved = 0, 0, 0
    if stored then
      version, on_hand, reserved = string.match(stored, '^(%d+) (%-?%d+) (%-?%d+)$')
    end
    if tonumber(ARGV[a + 2]) > tonumber(version) then
      redis.call('HSET', key, ARGV[a + 1], ARGV[a + 2] .. ' ' .. ARGV[a + 3] .. ' ' .. ARGV[a + 4])
      local change = (ARGV[a + 3] - ARGV[a + 4]) - (on_hand - reserved)
      redis.call('HINCRBY', key, 'available', string.format('%.0f', change))
    end
    a = a + 5
  elseif kind == 'entry' then
    redis.call('ZADD', key, 0, ARGV[a + 1])
    a = a + 2
  else
    error('no such kind of write: ' .. kind)
  end
  k = k + 1
end
if tonumber(ARGV[3]) > held then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  return tonumber(ARGV[3])
end
return held
"""


class CheckpointLost(Exception):
    """The store has forgotten what was written (its data was lost): go on from `held_position`."""

    def __init__(self, projection: str, expected_position: int, held_position: int) -> None:
        super().__init__(f"{projection}: the store holds position {held_position}, no longer {expected_position}")
        self.held_position = held_position


@dataclass(frozen=True, slots=True)
class PutDocument:
    """The whole view of one stream: a hash of `fields` and `version`."""

    key: str
    version: int
    fields: Mapping[str, bytes]

    def arguments(self) -> list[Argument]:
        flat: list[Argument] = ["document", self.version, len(self.fields)]
        for name, value in self.fields.items():
            flat += (name, value)
        return flat


@dataclass(frozen=True, slots=True)
class PutLevel:
    """One stream's share of a hash that several streams make up; the sum of all is kept in `available`."""

    key: str
    field: str
    level: StockLevel

    def arguments(self) -> list[Argument]:
        return ["level", self.field, self.level.version, self.level.on_hand, self.level.reserved]


@dataclass(frozen=True, slots=True)
class PutEntry:
    """A member of a sorted set that is ordered by its members."""

    key: str
    member: str

    def arguments(self) -> list[Argument]:
        return ["entry", self.member]


Write = PutDocument | PutLevel | PutEntry


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a projection stands. `expected_position` is what the store must hold at least."""

    projection: str
    key: str
    partition: str
    expected_position: int
    new_position: int


class Writer:
    """Runs the script. Raises CheckpointLost, and redis' own errors."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(SCRIPT)

    async def write(self, writes: Sequence[Write], checkpoint: Checkpoint) -> int:
        """Returns the position that the store holds afterwards."""
        keys = [checkpoint.key]
        arguments: list[Argument] = [checkpoint.partition, checkpoint.expected_position, checkpoint.new_position]
        for write in writes:
            keys.append(write.key)
            arguments += write.arguments()
        held = int(await self._script(keys=keys, args=arguments))
        if held < checkpoint.expected_position:
            raise CheckpointLost(checkpoint.projection, checkpoint.expected_position, held)
        return held
