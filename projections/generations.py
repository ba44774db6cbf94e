"""Which generation of each view is live, which one is kept for a way back, and which one is being built.

One hash says it for all views, so that a reader learns it in the same round trip as what it reads, and a swap is the
change of one field. Its fields, per view: `<view>` (the live one; the first, where there is none), `<view>:kept`,
`<view>:building`, `<view>:joined` (what is built is fed by the projector too), `<view>:last` (the last number given).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from redis.asyncio import Redis

from projections.keys import FIRST_GENERATION, GENERATIONS, Keys

ViewName = Literal["product", "stock", "cart", "order"]
VIEW_NAMES: Final[tuple[ViewName, ...]] = ("product", "stock", "cart", "order")
Successor = Literal["building", "kept"]

# A projector says that it feeds a generation, for so long; more often than that, again.
FEEDING_MILLISECONDS: Final = 5_000

# KEYS: the generations, the live one's checkpoint, the successor's. ARGV: the view, the live one's number, the
# successor's, which it is, and the first number of all. Nobody may read an older answer after a newer one: so the
# successor holds all that the live one holds, in this very moment. Partition "0" is the whole log. Answers 1; 0 when
# the successor is behind; -1 when the generations are no longer those. What was built of the whole log every partition
# holds: that is written down before "0" goes, for where nothing happens nobody else writes it.
_SWAP: Final = """
local view, live, successor, role = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if (redis.call('HGET', KEYS[1], view) or ARGV[5]) ~= live then return -1 end
if redis.call('HGET', KEYS[1], view .. ':' .. role) ~= successor then return -1 end
local held = redis.call('HGETALL', KEYS[2])
local partitioned = #held > 0 and redis.call('HEXISTS', KEYS[2], '0') == 0
local whole = tonumber(redis.call('HGET', KEYS[3], '0') or '0')
for i = 1, #held, 2 do
  local own = redis.call('HGET', KEYS[3], held[i])
  if partitioned and not own then return 0 end
  if math.max(tonumber(own or '0'), whole) < tonumber(held[i + 1]) then return 0 end
end
if partitioned then
  local fields = redis.call('HGETALL', KEYS[3])
  for i = 1, #fields, 2 do
    if tonumber(fields[i + 1]) < whole then redis.call('HSET', KEYS[3], fields[i], string.format('%.0f', whole)) end
  end
  redis.call('HDEL', KEYS[3], '0')
end
redis.call('HDEL', KEYS[1], view .. ':building', view .. ':joined')
redis.call('HSET', KEYS[1], view, successor, view .. ':kept', live)
return 1
"""

_BEGIN: Final = """
local view = ARGV[1]
local building = redis.call('HGET', KEYS[1], view .. ':building')
if building then return {tonumber(building), 0} end
if redis.call('HEXISTS', KEYS[1], view .. ':last') == 0 then
  redis.call('HSET', KEYS[1], view .. ':last', redis.call('HGET', KEYS[1], view) or ARGV[2])
end
local number = redis.call('HINCRBY', KEYS[1], view .. ':last', 1)
redis.call('HSET', KEYS[1], view .. ':building', number)
return {number, 1}
"""


class GenerationsChanged(Exception):
    """Somebody else swapped or dropped meanwhile."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The numbers of one view's generations. `joined`: the one being built is fed by the projector already."""

    live: int
    kept: int | None
    building: int | None
    joined: bool


@dataclass(frozen=True, slots=True)
class Fed:
    """A generation that is to be kept up with the log. `name` is the view's for the live one, else also the number.

    What is fed beside the views (streams/single_feed.py) has a name of its own in the place of a view's.
    """

    view: str
    generation: int
    name: str

    @property
    def keys(self) -> Keys:
        return Keys.of(self.generation)


class Generations:
    """Every method raises redis' own errors."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._swap_script = redis.register_script(_SWAP)
        self._begin_script = redis.register_script(_BEGIN)

    async def standing(self, view: ViewName) -> Standing:
        fields = (view, f"{view}:kept", f"{view}:building", f"{view}:joined")
        live, kept, building, joined = await self._redis.hmget(GENERATIONS, fields)
        return Standing(
            int(live or FIRST_GENERATION),
            int(kept) if kept else None,
            int(building) if building else None,
            joined is not None,
        )

    async def fed(self, views: Sequence[ViewName] = VIEW_NAMES) -> list[Fed]:
        """What a projector (or worker) has to feed: the live ones, those kept for a way back, and those that joined."""
        found = []
        for view in views:
            standing = await self.standing(view)
            found.append(Fed(view, standing.live, view))
            others = (standing.kept, standing.building if standing.joined else None)
            found += [Fed(view, number, f"{view}@{number}") for number in others if number is not None]
        return found

    async def say_fed(self, fed: Sequence[Fed]) -> None:
        """Whoever feeds them says so every second or so."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for each in fed:
                pipeline.set(_feeding_key(each.view, each.generation), 1, px=FEEDING_MILLISECONDS)
            await pipeline.execute()

    async def is_fed(self, view: str, generation: int) -> bool:
        return bool(await self._redis.exists(_feeding_key(view, generation)))

    async def begin(self, view: ViewName) -> tuple[int, bool]:
        """The generation that is being built, and whether it is a new one: else somebody began it before."""
        number, is_new = await self._begin_script(keys=[GENERATIONS], args=[view, FIRST_GENERATION])
        return int(number), bool(is_new)

    async def join(self, view: ViewName) -> None:
        """From now on the projector feeds what is being built, too."""
        await self._redis.hset(GENERATIONS, f"{view}:joined", "1")

    async def leave(self, view: ViewName) -> None:
        """The projector no longer feeds what is being built."""
        await self._redis.hdel(GENERATIONS, f"{view}:joined")

    async def abandon(self, view: ViewName) -> None:
        """What was being built is no longer; its keys are for `sweep`."""
        await self._redis.hdel(GENERATIONS, f"{view}:building", f"{view}:joined")

    async def forget_kept(self, view: ViewName) -> None:
        """There is no way back any more; its keys are for `sweep`."""
        await self._redis.hdel(GENERATIONS, f"{view}:kept")

    async def swap(self, view: ViewName, role: Successor) -> bool:
        """Makes what is built, or kept, the live one, and keeps the one that was. False while it is behind that one.

        Readers have the one or the other, whole, from one moment to the next. Raises GenerationsChanged.
        """
        standing = await self.standing(view)
        successor = standing.building if role == "building" else standing.kept
        if successor is None:
            raise GenerationsChanged(f"{view!r} has no generation {role} any more")
        checkpoints = [Keys.of(number).checkpoint(view) for number in (standing.live, successor)]
        swapped = await self._swap_script(
            keys=[GENERATIONS, *checkpoints], args=[view, standing.live, successor, role, FIRST_GENERATION]
        )
        if int(swapped) < 0:
            raise GenerationsChanged(f"the generations of {view!r} were changed by somebody else")
        return bool(swapped)


def live_keys(live: Sequence[bytes | None]) -> dict[ViewName, Keys]:
    """Of what `HMGET counterfoil:generations product stock cart order` answers."""
    numbers = [int(number or FIRST_GENERATION) for number in live]
    return {view: Keys.of(number) for view, number in zip(VIEW_NAMES, numbers, strict=True)}


def _feeding_key(view: str, generation: int) -> str:
    return f"{GENERATIONS}:fed:{view}:{generation}"
