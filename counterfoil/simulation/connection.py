"""One command process's connection to the log: it takes time, it breaks, and what was sent may arrive all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from commandside.event_store import StoreUnavailable
from commandside.event_store.port import Evolution
from commandside.event_store.snapshots import Snapshot
from counterfoil.simulation.world import World
from domain.events import AnyEvent, Recorded

LONGEST_WAY_SECONDS: Final = 0.004
TIMEOUT_SECONDS: Final = 2.0
T = TypeVar("T")


class LogConnection:
    """EventStore. `crash` ends the process that has it; afterwards nothing of what it asks is heard."""

    def __init__(self, world: World, process: int, crash: Callable[[], None]) -> None:
        self._world = world
        self._log = world.log
        self._process = process
        self._crash = crash
        self.is_away = False

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        world = self._world
        stored = self._log.encoded(events)
        self._ensure_there()
        fault = world.adversity.strike("append", self._process, world.now_seconds)
        insert = partial(self._log.insert, stored, dict(work), dict(reads or {}))
        if fault is None:
            return await world.later(self._way_seconds(), insert)
        match fault.kind:
            case "crash_before_append":
                self._crash()
                return await self._nobody()
            case "crash_after_append":
                return await world.later(self._way_seconds(), partial(self._insert_and_crash, stored, work, reads))
            case "append_refused":
                raise StoreUnavailable("the connection broke before anything was sent")
            case "append_unacknowledged":
                await world.later(self._way_seconds(), insert)
            case "append_late":
                world.later(fault.seconds, insert).add_done_callback(_look_at)
        await asyncio.sleep(TIMEOUT_SECONDS if fault.kind == "append_late" else 0)
        raise StoreUnavailable("the connection broke before it was acknowledged")

    async def check(self, reads: Mapping[UUID, int]) -> int:
        return await self._asked(lambda: self._compared(reads))

    async def load(self, after: Mapping[UUID, int]) -> Mapping[UUID, Sequence[Evolution]]:
        return await self._asked(partial(self._log.read_streams, after))

    async def history(self, stream_id: UUID, after: int = 0, limit: int | None = None) -> list[Recorded]:
        return await self._log.history(stream_id, after, limit)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        self._ensure_there()
        await self._log.save_snapshot(snapshot)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self._ensure_there()
        async with self._log.turn():
            yield

    async def last_position(self) -> int:
        self._ensure_there()
        return len(self._log.rows)

    async def due_work(self, now: datetime, limit: int) -> list[UUID]:
        self._ensure_there()
        return self._log.due(now, limit)

    def _compared(self, reads: Mapping[UUID, int]) -> int:
        self._log.compare(reads)
        return len(self._log.rows)

    def _insert_and_crash(
        self,
        stored: Sequence[StoredEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None,
    ) -> list[int]:
        positions = self._log.insert(stored, work, reads or {})
        self._crash()
        return positions

    async def _asked(self, read: Callable[[], T]) -> T:
        self._ensure_there()
        return await self._world.later(self._way_seconds(), read)

    async def _nobody(self) -> Sequence[int]:
        silence: asyncio.Future[Sequence[int]] = self._world.loop.create_future()
        return await silence

    def _way_seconds(self) -> float:
        return 0.000_2 + self._world.dice.random() * LONGEST_WAY_SECONDS

    def _ensure_there(self) -> None:
        if self.is_away:
            raise StoreUnavailable("no connection")


def _look_at(late: asyncio.Future[list[int]]) -> None:
    """Nobody waits for it: whether it met a conflict is nobody's to hear."""
    late.exception()
