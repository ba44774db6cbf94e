"""The log of a simulated shop: rows as they are stored, in memory."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from commandside.event_store import StoreUnavailable, VersionConflict, turns
from commandside.event_store.mapper import EventMapper, Row
from commandside.event_store.port import Evolution
from commandside.event_store.snapshots import Snapshot, SnapshotMapper
from domain.events import AnyEvent, Recorded

_MAPPER = EventMapper()


class SimulatedLog:
    """EventStore in memory, lean: an append is a few list entries. One for all processes of a run.

    `rows` are what the checker reads. Events pass the real mapper both ways.
    """

    def __init__(self, mapper: EventMapper = _MAPPER, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.rows: list[Row] = []
        self.committed_at_seconds: list[float] = []
        self._clock = clock
        self._mapper = mapper
        self._streams: dict[UUID, list[Row]] = {}
        self._snapshots = SnapshotMapper(mapper)
        self._kept: dict[UUID, StoredEvent] = {}
        self._due_at: dict[UUID, datetime] = {}
        self._turn = asyncio.Lock()

    async def append(
        self,
        events: Sequence[AnyEvent],
        work: Mapping[UUID, datetime | None],
        reads: Mapping[UUID, int] | None = None,
    ) -> Sequence[int]:
        return self.insert(self.encoded(events), work, reads or {})

    def encoded(self, events: Sequence[AnyEvent]) -> list[StoredEvent]:
        """Raises NotStorable."""
        return [self._mapper.to_stored_event(event) for event in events]

    def insert(
        self, stored: Sequence[StoredEvent], work: Mapping[UUID, datetime | None], reads: Mapping[UUID, int]
    ) -> list[int]:
        """In one step, all or nothing. Raises VersionConflict."""
        self.compare(reads)
        added: dict[UUID, int] = {}
        for event in stored:
            stream_id = event.originator_id
            assert isinstance(stream_id, UUID)
            held = added.get(stream_id)
            if held is None:
                held = len(self._streams.get(stream_id, ()))
            if event.originator_version != held + 1:
                raise VersionConflict(f"version {event.originator_version} of stream {stream_id} after {held}")
            added[stream_id] = held + 1
        first = len(self.rows) + 1
        for position, event in enumerate(stored, start=first):
            stream_id = event.originator_id
            assert isinstance(stream_id, UUID)
            row = (position, stream_id, event.originator_version, event.topic, event.state)
            self.rows.append(row)
            self._streams.setdefault(stream_id, []).append(row)
        self.committed_at_seconds += [self._clock()] * len(stored)
        for checkout_id, due_at in work.items():
            if due_at is None:
                self._due_at.pop(checkout_id, None)
            else:
                self._due_at[checkout_id] = due_at
        return list(range(first, len(self.rows) + 1))

    def compare(self, reads: Mapping[UUID, int]) -> None:
        """Raises VersionConflict."""
        for stream_id, version in reads.items():
            if len(self._streams.get(stream_id, ())) > version:
                raise VersionConflict(f"stream {stream_id} has been written since it was read")

    async def check(self, reads: Mapping[UUID, int]) -> int:
        self.compare(reads)
        return len(self.rows)

    async def load(self, after: Mapping[UUID, int]) -> Mapping[UUID, Sequence[Evolution]]:
        return self.read_streams(after)

    def read_streams(self, after: Mapping[UUID, int]) -> dict[UUID, Sequence[Evolution]]:
        streams = {stream_id: self._load(stream_id, version) for stream_id, version in after.items()}
        return {stream_id: found for stream_id, found in streams.items() if found}

    def _load(self, stream_id: UUID, after: int) -> list[Evolution]:
        found: list[Evolution] = []
        kept = self._kept.get(stream_id)
        if after == 0 and kept is not None and kept.topic in self._snapshots.topics:
            found.append(self._snapshots.to_snapshot(kept))
            after = kept.originator_version
        read = self._mapper.read
        return found + [read(*row[1:]) for row in self._streams.get(stream_id, ())[after:]]

    def read_on(self, after: int, limit: int) -> list[Recorded]:
        """The log as who tails it reads it."""
        return self._mapper.read_page(self.rows[after : after + limit])

    @property
    def is_idle(self) -> bool:
        """No checkout is unfinished."""
        return not self._due_at

    async def history(self, stream_id: UUID, after: int = 0, limit: int | None = None) -> list[Recorded]:
        rows = self._streams.get(stream_id, ())
        return self._mapper.read_page(rows[after:] if limit is None else rows[after : after + limit])

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        kept = self._kept.get(snapshot.originator_id)
        if kept is None or kept.originator_version < snapshot.originator_version:
            self._kept[snapshot.originator_id] = self._snapshots.to_stored(snapshot)

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
        return len(self.rows)

    async def due_work(self, now: datetime, limit: int) -> list[UUID]:
        return self.due(now, limit)

    def due(self, now: datetime, limit: int) -> list[UUID]:
        due = [(due_at, checkout_id) for checkout_id, due_at in self._due_at.items() if due_at <= now]
        return [checkout_id for _, checkout_id in heapq.nsmallest(limit, due)] if due else []
