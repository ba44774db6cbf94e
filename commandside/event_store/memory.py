from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import islice
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.popo import POPOApplicationRecorder

from commandside.event_store import turns
from commandside.event_store.errors import StoreUnavailable, VersionConflict
from commandside.event_store.mapper import EventMapper
from commandside.event_store.port import Evolution
from commandside.event_store.snapshots import Snapshot, SnapshotMapper
from domain.events import AnyEvent, Recorded


class MemoryEventStore:
    """EventStore in memory, on the library's own, for unit tests and simulations. Events pass the real mapper."""

    def __init__(self, mapper: EventMapper | None = None) -> None:
        self._mapper = mapper or EventMapper()
        self._recorder = POPOApplicationRecorder()
        self._snapshots = SnapshotMapper(self._mapper)
        self._kept: dict[UUID, StoredEvent] = {}
        self._turn = asyncio.Lock()
        self._due_at: dict[UUID, datetime] = {}

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        await self.check(reads or {})
        try:
            positions = self._recorder.insert_events([self._mapper.to_stored_event(event) for event in events])
        except IntegrityError as error:
            raise VersionConflict(str(error)) from error
        for checkout_id, due_at in work.items():
            if due_at is None:
                self._due_at.pop(checkout_id, None)
            else:
                self._due_at[checkout_id] = due_at
        return positions or []

    async def check(self, reads: Mapping[UUID, int]) -> int:
        for stream_id, version in reads.items():
            if self._recorder.select_events(stream_id, gt=version, limit=1):
                raise VersionConflict(f"stream {stream_id} has been written since it was read")
        return await self.last_position()

    async def load(self, after: Mapping[UUID, int]) -> Mapping[UUID, Sequence[Evolution]]:
        streams = {stream_id: self._load(stream_id, version) for stream_id, version in after.items()}
        return {stream_id: found for stream_id, found in streams.items() if found}

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        kept = self._kept.get(snapshot.originator_id)
        if kept is None or kept.originator_version < snapshot.originator_version:
            self._kept[snapshot.originator_id] = self._snapshots.to_stored(snapshot)

    async def history(self, stream_id: UUID, after: int = 0, limit: int | None = None) -> list[Recorded]:
        log = self._recorder.select_notifications(0, limit=2**31, inclusive_of_start=False)
        stream = (notification for notification in log if notification.originator_id == stream_id)
        wanted = islice(stream, after, None if limit is None else after + limit)
        return [Recorded(notification.id, self._mapper.to_domain_event(notification)) for notification in wanted]

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(self._turn.acquire(), turns.WAIT_TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise StoreUnavailable("the turn did not come in time") from error
        try:
            yield
        finally:
            self._turn.release()

    async def last_position(self) -> int:
        return self._recorder.max_notification_id() or 0

    async def due_work(self, now: datetime, limit: int) -> list[UUID]:
        due = sorted((due_at, checkout_id) for checkout_id, due_at in self._due_at.items() if due_at <= now)
        return [checkout_id for _, checkout_id in due[:limit]]

    def _load(self, stream_id: UUID, after: int) -> list[Evolution]:
        found: list[Evolution] = []
        kept = self._kept.get(stream_id)
        if after == 0 and kept is not None and kept.topic in self._snapshots.topics:
            found.append(self._snapshots.to_snapshot(kept))
            after = kept.originator_version
        return found + [self._mapper.to_domain_event(e) for e in self._recorder.select_events(stream_id, gt=after)]

    def log(self, after: int = 0) -> list[Recorded]:
        """Everything after a position, in the order in which it was appended."""
        notifications = self._recorder.select_notifications(after, limit=2**31, inclusive_of_start=False)
        return [Recorded(notification.id, self._mapper.to_domain_event(notification)) for notification in notifications]
