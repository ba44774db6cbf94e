"""What is fed beside the views, in the same way: a single generation each, in the place of the first of the views'."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis

from projections.generations import Fed
from projections.keys import FIRST_GENERATION
from streams.dead_letters import DeadMessages, RedisDeadLetters
from streams.feeder import Projection

# By partition.
MakeProjection = Callable[[str], Projection]


class SingleFeed:
    """Of one projection that has no generations, as views have (streams/view_feeds.py)."""

    def __init__(
        self,
        client: Redis,
        name: str,
        make: MakeProjection,
        begin: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`begin` is awaited once, before anything is fed."""
        self.name = name
        self.make = make
        self._redis = client
        self._begin = begin

    async def wanted(self) -> list[Fed]:
        if self._begin is not None:
            await self._begin()
            self._begin = None
        return [Fed(self.name, FIRST_GENERATION, self.name)]

    async def say_fed(self, fed: Sequence[Fed]) -> None:
        """Nobody waits for it: it is never swapped for another one."""

    def projection(self, _: Fed, partition: str = "0") -> Projection:
        return self.make(partition)

    def dead_letters(self, fed: Fed) -> DeadMessages:
        return RedisDeadLetters(self._redis, fed.keys)
