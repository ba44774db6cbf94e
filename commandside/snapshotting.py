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

    By more of them where the state is large: a snapshot of a hundred thousand reservations each thousand events would
    cost more than all the decisions between. What is loaded is never more than about twice the snapshot.

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

    def due(self, grown: Iterable[tuple[EventSourced, int]]) -> list[Snapshot]:
        """Of aggregates, and the versions from which they were brought to where they are: as they are now."""
        return [Snapshot.take(aggregate) for aggregate, version in grown if self._is_due(aggregate, version)]

    def offer(self, snapshots: Iterable[Snapshot]) -> None:
        """What they show must be stored by now."""
        for snapshot in snapshots:
            if not self._queue.full():
                self._queue.put_nowait(snapshot)

    def _is_due(self, aggregate: EventSourced, from_version: int) -> bool:
        def crossed(interval_events: int) -> bool:
            return aggregate.version // interval_events > from_version // interval_events

        if aggregate.STATE is None or not crossed(self._interval_events):
            return False
        # Doubled until it is about as many events as the state has entries.
        entries_count = sum(len(value) for value in vars(aggregate).values() if isinstance(value, (dict, list, tuple)))
        doublings_count = (entries_count // (2 * self._interval_events)).bit_length()
        return crossed(self._interval_events << doublings_count)

    async def _run(self) -> None:
        while True:
            snapshot = await self._queue.get()
            try:
                await self._store.save_snapshot(snapshot)
            except StoreUnavailable as error:
                _log.warning("snapshot not saved", stream_id=str(snapshot.originator_id), error=str(error))
            except Exception:  # one that cannot be saved is no reason to save none of the others
                _log.exception("snapshot not saved", stream_id=str(snapshot.originator_id))
