from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from domain.events import AnyEvent


class MemoryStreams:
    """Single streams (projections.view_projection.Streams) of events that are given in order."""

    def __init__(self, events: Iterable[AnyEvent] = ()) -> None:
        self._streams: dict[UUID, list[AnyEvent]] = defaultdict(list)
        for event in events:
            self.append(event)

    def append(self, event: AnyEvent) -> None:
        self._streams[event.originator_id].append(event)

    async def read_stream(self, stream_id: UUID, after_version: int, limit: int) -> list[AnyEvent]:
        return [e for e in self._streams[stream_id] if e.originator_version > after_version][:limit]
