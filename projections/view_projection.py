"""Keeps one kind of view in Valkey up to date with the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Protocol
from uuid import UUID

from redis.asyncio import Redis

from domain.events import AnyEvent
from projections.keys import Keys
from projections.recorded import Recorded
from projections.versions import VersionGap
from projections.views import Slot, V, View
from projections.writes import Checkpoint, Write, Writer

STREAM_PAGE_EVENTS = 500


class Streams(Protocol):
    """Reads single streams of the event store."""

    async def read_stream(self, stream_id: UUID, after_version: int, limit: int) -> Sequence[AnyEvent]:
        """At most `limit` events with versions above `after_version`, in order."""
        ...


class ViewProjection(Generic[V]):
    """A batch is one read, evolving in memory, and one atomic write of the views and the checkpoint.

    `partition` names the share of the log that this one is fed; one log in one process is partition "0".
    """

    def __init__(
        self, view: View[V], redis: Redis, streams: Streams, keys: Keys | None = None, partition: str = "0"
    ) -> None:
        self.name = view.name
        self._view = view
        self._redis = redis
        self._streams = streams
        self._partition = partition
        self._checkpoint_key = (keys or Keys()).checkpoint(view.name)
        self._writer = Writer(redis)
        self._position = 0

    async def checkpoint(self) -> int:
        """The position up to which the store holds everything; 0 when it holds nothing."""
        stored = await self._redis.hget(self._checkpoint_key, self._partition)
        self._position = int(stored or 0)
        return self._position

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        """Brings the views up to position `up_to`, given all events between the checkpoint and there.

        Events that were applied before are skipped. Raises CheckpointLost when the store has lost data since; redis'
        errors when it does not answer; whatever `evolve` raises of an event that cannot be applied. Then the checkpoint
        stays where it was, and the batch can be applied again.
        """
        event_types, evolve = self._view.event_types, self._view.evolve
        streams: dict[UUID, list[AnyEvent]] = {}
        for _, event in batch:
            if type(event) in event_types:
                streams.setdefault(event.originator_id, []).append(event)
        slots = {stream_id: self._view.slot(events[0]) for stream_id, events in streams.items()}
        held = await self._load({slots[stream_id]: events[0] for stream_id, events in streams.items()})
        writes: list[Write] = []
        for stream_id, events in streams.items():
            slot = slots[stream_id]
            view = before = held[slot]
            for event in events:
                try:
                    view = evolve(view, event)
                except VersionGap as gap:
                    view = await self._read_again(view, gap)
            if view is not None and view is not before:
                writes += self._view.writes(slot, view)
        checkpoint = Checkpoint(self.name, self._checkpoint_key, self._partition, self._position, up_to)
        self._position = await self._writer.write(writes, checkpoint)

    async def repair(self, stream_id: UUID) -> None:
        """Brings the view of one stream up to date from the stream itself. Raises what `apply` raises."""
        version = 0
        while events := await self._streams.read_stream(stream_id, version, STREAM_PAGE_EVENTS):
            await self.apply([Recorded(self._position, event) for event in events], self._position)
            version = events[-1].originator_version

    async def _load(self, first_events: Mapping[Slot, AnyEvent]) -> dict[Slot, V | None]:
        """What is stored, but of a stream that begins in this batch: its view is made from its first event on.

        Where such a stream was seen before, what is made of it is no newer than what is stored, and not written.
        """
        held: dict[Slot, V | None] = dict.fromkeys(first_events)
        wanted = [slot for slot, event in first_events.items() if event.originator_version > 1]
        if wanted:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for slot in wanted:
                    pipeline.hmget(slot.key, slot.fields)
                stored = await pipeline.execute()
            for slot, values in zip(wanted, stored, strict=True):
                held[slot] = self._view.load(slot, values)
        return held

    async def _read_again(self, view: V | None, gap: VersionGap) -> V:
        """The view with all that its stream holds by now. Raises the gap when the stream itself has one."""
        version = gap.held_version
        while True:
            events = await self._streams.read_stream(gap.stream_id, version, STREAM_PAGE_EVENTS)
            for event in events:
                view = self._view.evolve(view, event)
            version += len(events)
            if len(events) < STREAM_PAGE_EVENTS:
                break
        if view is None or view.version < gap.event_version:
            raise gap
        return view
