from __future__ import annotations

import asyncio
from collections.abc import Sequence

from domain.events import AnyEvent
from projections.recorded import Recorded


class MemoryLog:
    """An EventLog in memory, positions from 1 on. `reads` are the positions after which it was read."""

    def __init__(self, events: Sequence[AnyEvent] = ()) -> None:
        self.events: list[Recorded] = []
        self.reads: list[int] = []
        self._appended = asyncio.Event()
        self.append(*events)

    def append(self, *events: AnyEvent) -> None:
        for event in events:
            self.events.append(Recorded(len(self.events) + 1, event))
        self._appended.set()

    async def read(self, after: int, limit: int) -> list[Recorded]:
        self.reads.append(after)
        found = [r for r in self.events if r.position > after][:limit]
        await asyncio.sleep(0)
        return found

    async def last_position(self) -> int:
        return len(self.events)

    async def wait_for_append(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._appended.wait()
        except TimeoutError:
            return
        self._appended.clear()
