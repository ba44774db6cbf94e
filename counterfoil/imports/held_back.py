from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from commandside.event_store import EventStore
from domain.events import AnyEvent


def held_back(store: EventStore, hold: timedelta, now: Callable[[], datetime]) -> EventStore:
    """The store, for a history that is written years late: what it leaves unfinished is its own to finish for a while.

    A checkout of 2010 is overdue the moment it is written, and the sweeper of the running shop, whose clock is of
    today, would cancel its payment. So open work is due `hold` from now; only an import that never goes on leaves it
    to the sweeper.
    """
    return cast(EventStore, _HeldBack(store, hold, now))


class _HeldBack:
    """Everything but `append` is the store's own."""

    def __init__(self, store: EventStore, hold: timedelta, now: Callable[[], datetime]) -> None:
        self._store = store
        self._hold = hold
        self._now = now

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        due_at = self._now() + self._hold
        held = {which: due and max(due, due_at) for which, due in work.items()}
        return await self._store.append(events, held, reads)

    async def check(self, reads: Mapping[UUID, int]) -> int:
        return await self._store.check(reads)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
