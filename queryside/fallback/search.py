from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from queryside.fallback.breaker import Breaker, CircuitOpen
from queryside.search.engine import SearchEngine, SearchRefused, SearchUnavailable
from queryside.search.query import SearchQuery
from queryside.search.result import CategoryCount, EngineName, SearchResult

T = TypeVar("T")


class FallbackSearch:
    """An engine, and another one that answers while the first one does not. What the first refuses goes there, too.

    `fallback` must always hold all that `engine` holds: then whoever waited for a position finds it in either.
    After an outage the first one answers again once it holds what the other one did when it was first tried.
    """

    def __init__(
        self, engine: SearchEngine, fallback: SearchEngine, *, make_breaker: Callable[..., Breaker] = Breaker
    ) -> None:
        self._engine = engine
        self._fallback = fallback
        self._missed_position: int | None = None
        self.breaker = make_breaker(engine.name, (SearchUnavailable,), self._is_back)

    @property
    def name(self) -> EngineName:
        return self._engine.name if self.breaker.state == "closed" else self._fallback.name

    async def search(self, query: SearchQuery) -> SearchResult:
        return await self._either(lambda engine: engine.search(query))

    async def suggest(self, text: str) -> tuple[str, ...]:
        return await self._either(lambda engine: engine.suggest(text))

    async def categories(self) -> tuple[CategoryCount, ...]:
        return await self._either(lambda engine: engine.categories())

    async def has_category(self, path: tuple[str, ...]) -> bool:
        return await self._either(lambda engine: engine.has_category(path))

    async def position(self) -> int:
        return await self._either(lambda engine: engine.position())

    async def _either(self, ask: Callable[[SearchEngine], Awaitable[T]]) -> T:
        """Raises what the fallback raises, and InvalidCursor."""
        try:
            return await self.breaker.call(lambda: self._unless_refused(ask))
        except (SearchUnavailable, CircuitOpen):
            return await ask(self._fallback)

    async def _unless_refused(self, ask: Callable[[SearchEngine], Awaitable[T]]) -> T:
        try:
            return await ask(self._engine)
        except SearchRefused:
            # That is no outage: one query that it does not like must not close it to all.
            return await ask(self._fallback)

    async def _is_back(self) -> bool:
        held_position = await self._engine.position()
        if self._missed_position is None:
            try:
                self._missed_position = await self._fallback.position()
            except SearchUnavailable:
                return True  # both are down: what this one has is better than nothing
        if held_position < self._missed_position:
            return False
        self._missed_position = None
        return True
