from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from commandside.event_store import StoreUnavailable
from commandside.event_store.memory import MemoryEventStore
from commandside.event_store.port import Evolution
from domain.events import AnyEvent

PATIENCE_SECONDS = 5.0


class ScriptedStore(MemoryEventStore):
    """The store in memory, which a test can hold up, let fail, or let others write to at the worst moment."""

    def __init__(self) -> None:
        super().__init__()
        self.appends: list[list[AnyEvent]] = []
        self.loads: list[dict[UUID, int]] = []
        self.append_failures: list[StoreUnavailable] = []
        self.load_failures: list[StoreUnavailable] = []
        self.lost_answers: list[StoreUnavailable] = []
        # Each is called right before one append, or before one load: another process that comes in between.
        self.before_appends: list[Callable[[], Sequence[AnyEvent]]] = []
        self.before_loads: list[Callable[[], Sequence[AnyEvent]]] = []
        self._open = asyncio.Event()
        self._open.set()
        self._appending = asyncio.Event()

    def hold_up(self) -> None:
        """Appends wait from now on, until let_go()."""
        self._open.clear()
        self._appending.clear()

    def let_go(self) -> None:
        self._open.set()

    async def until_appending(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._appending.wait()

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        self.appends.append(list(events))
        self._appending.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._open.wait()
        await asyncio.sleep(0)
        if self.before_appends:
            await super().append(self.before_appends.pop(0)(), {})
        if self.append_failures:
            raise self.append_failures.pop(0)
        positions = await super().append(events, work, reads)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return positions

    async def load(self, after: Mapping[UUID, int]) -> Mapping[UUID, Sequence[Evolution]]:
        self.loads.append(dict(after))
        await asyncio.sleep(0)  # as a round trip does, it gives way to others
        if self.before_loads:
            await super().append(self.before_loads.pop(0)(), {})
        if self.load_failures:
            raise self.load_failures.pop(0)
        return await super().load(after)
