from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog

from commandside.event_store import EventStore, StoreUnavailable
from commandside.event_store.snapshots import Snapshot
from domain.aggregates import EventSourced

_log = structlog.get_logger(__name__)


class Snapshots:
    """Takes a snapshot of an aggregate each time its stream has grown by so many events; saves them on the side.

    Nothing waits for it and nothing depends on it: with the queue full, or the store away, a snapshot is not made.
    """

    def __init__(self, store: EventStore, interval_events: int, queue_limit_count: int) -> None:
        self._store = store
        self._interval_events = interval_events
        self._queue: asyncio.Queue[Snapshot] = asyncio.Queue(queue_limit_count)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="snapshots")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def offer(self, grown: Iterable[tuple[EventSourced, int]]) -> None:
        """Aggregates, and the versions from which they were brought to where they are."""
        for aggregate, from_version in grown:
            due = aggregate.version // self._interval_events > from_version // self._interval_events
            if due and aggregate.STATE is not None and not self._queue.full():
                self._queue.put_nowait(Snapshot.take(aggregate))

    async def _run(self) -> None:
        while True:
            snapshot = await self._queue.get()
            try:
                await self._store.save_snapshot(snapshot)
            except StoreUnavailable as error:
                _log.warning("snapshot not saved", stream_id=str(snapshot.originator_id), error=str(error))
            except Exception:  # one that cannot be saved is no reason to save none of the others
                _log.exception("snapshot not saved", stream_id=str(snapshot.originator_id))
