from __future__ import annotations

from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg_pool import AsyncConnectionPool

from commandside.event_store.mapper import EventMapper
from projections.recorded import AnyEvent


class PostgresStreams:
    """Reads single streams of the event store, for a view that has to be made from its stream again."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection], mapper: EventMapper | None = None) -> None:
        self._pool = pool
        self._mapper = mapper or EventMapper()

    async def read_stream(self, stream_id: UUID, after_version: int, limit: int) -> list[AnyEvent]:
        """At most `limit` events with versions above `after_version`, in order. Raises psycopg.Error."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT originator_id, originator_version, topic, state FROM log.stored_events "
                "WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s",
                (stream_id, after_version, limit),
                binary=True,
            )
            return [self._mapper.to_domain_event(StoredEvent(*row)) for row in await cursor.fetchall()]
