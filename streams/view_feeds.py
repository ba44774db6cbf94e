"""The views that are to be kept up with the log: every generation that is live, kept for a way back, or being built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis

from projections.generations import VIEW_NAMES, Fed, Generations, ViewName
from projections.keys import Keys
from projections.view_projection import Streams, ViewProjection
from projections.views import Carts, Orders, ProductPages, StockLevels, View
from streams.dead_letters import DeadMessages, RedisDeadLetters
from streams.feeder import Projection

VIEWS: Mapping[str, Callable[[Keys], View[Any]]] = {
    "product": ProductPages,
    "stock": StockLevels,
    "cart": Carts,
    "order": Orders,
}
# The topics of the events that views are made from.
TOPICS_OF_VIEWS: frozenset[str] = frozenset(
    event_type.TOPIC  # type: ignore[attr-defined]
    for view in VIEWS.values()
    for event_type in view(Keys()).event_types
)


class Feeds(Protocol):
    """What is to be kept up with the log, and how. Raises redis' own errors."""

    async def wanted(self) -> list[Fed]: ...

    async def say_fed(self, fed: Sequence[Fed]) -> None:
        """To be repeated, for as long as they are."""

    def projection(self, fed: Fed, partition: str = "0") -> Projection: ...

    def dead_letters(self, fed: Fed) -> DeadMessages: ...


class ViewFeeds:
    """Raises redis' own errors."""

    def __init__(self, client: Redis, streams: Streams, views: Sequence[ViewName] = VIEW_NAMES) -> None:
        self._redis = client
        self._streams = streams
        self._views = views
        self._generations = Generations(client)

    async def wanted(self) -> list[Fed]:
        return await self._generations.fed(self._views)

    async def say_fed(self, fed: Sequence[Fed]) -> None:
        """To be repeated, for as long as they are."""
        await self._generations.say_fed(fed)

    def projection(self, fed: Fed, partition: str = "0") -> ViewProjection[Any]:
        return ViewProjection(VIEWS[fed.view](fed.keys), self._redis, self._streams, fed.keys, partition)

    def dead_letters(self, fed: Fed) -> DeadMessages:
        return RedisDeadLetters(self._redis, fed.keys)
