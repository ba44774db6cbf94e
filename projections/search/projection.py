from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from domain.events import AnyEvent
from projections.recorded import Recorded
from projections.search import tables
from projections.search.beside import BUILDER_LOCK, BuildingCursor
from projections.search.state import State, evolve, keys_of
from projections.versions import VersionGap
from projections.view_projection import Streams
from projections.writes import CheckpointLost

STREAM_PAGE_EVENTS: Final = 500

# Whoever holds the lock is the only writer until it commits, whichever partitions there are: a product is made of
# several streams, and its row of what several partitions bring. Any number will do that nobody else uses.
WRITER_LOCK: Final = 0x73656172

_POSITION: Final = "SELECT position FROM search.checkpoint WHERE projection = %s AND partition = %s"
_LOCK: Final = "SELECT pg_advisory_xact_lock(%s)"
_HELD: Final = """
INSERT INTO search.checkpoint (projection, partition, position) VALUES (%s, %s, 0)
    ON CONFLICT (projection, partition) DO UPDATE SET position = search.checkpoint.position
RETURNING position
"""
_ADVANCE: Final = "UPDATE search.checkpoint SET position = %s WHERE projection = %s AND partition = %s"


class SearchProjection:
    """Keeps the search tables up with the log. Rows and checkpoint are written in one transaction: once each.

    `partition` names the share of the log that this one is fed; one log in one process is partition "0".
    """

    name: Final = "search"

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        streams: Streams,
        partition: str = "0",
        writer_lock: int = WRITER_LOCK,
    ) -> None:
        self._pool = pool
        self._streams = streams
        self._partition = partition
        self._writer_lock = writer_lock
        self._position = 0

    async def checkpoint(self) -> int:
        """The last position whose events are in the tables; 0 when there are none."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_POSITION, [self.name, self._partition])).fetchone()
        self._position = int(row[0]) if row else 0
        return self._position

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        """Bring the tables up to position `up_to`; `batch` are the events on the way, in the log's order.

        Those at or below the checkpoint are skipped. All or nothing. Raises CheckpointLost when the tables have lost
        what was written; VersionGap when a stream lacks events even in the event store; psycopg.Error.
        """
        async with self._pool.connection() as connection, connection.transaction():
            held = await self._lock(connection)
            if held < self._position:
                raise CheckpointLost(self.name, self._position, held)
            if up_to > held:
                await self._write(connection, [recorded.event for recorded in batch if recorded.position > held])
                await connection.execute(_ADVANCE, [up_to, self.name, self._partition])
        self._position = max(held, up_to)

    async def repair(self, stream_id: UUID) -> None:
        """Bring the rows of one stream up to date from the stream itself. Raises what `apply` raises."""
        version = 0
        while events := await self._streams.read_stream(stream_id, version, STREAM_PAGE_EVENTS):
            async with self._pool.connection() as connection, connection.transaction():
                await self._lock(connection)
                await self._write(connection, events)
            version = events[-1].originator_version

    async def _lock(self, connection: AsyncConnection[Any]) -> int:
        await connection.execute(_LOCK, [self._writer_lock])
        row = await (await connection.execute(_HELD, [self.name, self._partition])).fetchone()
        return int(row[0]) if row else 0

    async def _write(self, connection: AsyncConnection[Any], events: Sequence[AnyEvent]) -> None:
        before = await tables.load(connection, keys_of(events))
        await tables.save(connection, before, await self._evolved(before, events))

    async def _evolved(self, before: State, events: Sequence[AnyEvent]) -> State:
        # There is at most one gap before each event.
        for _ in range(len(events)):
            try:
                return evolve(before, events)
            except VersionGap as gap:
                events = await self._filled(events, gap)
        return evolve(before, events)

    async def _filled(self, events: Sequence[AnyEvent], gap: VersionGap) -> list[AnyEvent]:
        """`events` with those missing before the one that came too soon. Streams do not wait for each other."""
        stream = {event.originator_version: event for event in events if event.originator_id == gap.stream_id}
        version = gap.held_version
        while version < gap.event_version - 1:
            limit = min(STREAM_PAGE_EVENTS, gap.event_version - 1 - version)
            missing = await self._streams.read_stream(gap.stream_id, version, limit)
            if not missing:
                raise gap
            stream |= {event.originator_version: event for event in missing}
            version = missing[-1].originator_version
        others = [event for event in events if event.originator_id != gap.stream_id]
        return [*(stream[number] for number in sorted(stream)), *others]


@asynccontextmanager
async def open_search_projection(
    database_url: str,
    streams: Streams,
    partition: str = "0",
    *,
    building: bool = False,
    connect_timeout_seconds: float = 5.0,
    statement_timeout_seconds: float = 30.0,
) -> AsyncIterator[SearchProjection]:
    """The projection on a pool of its own, closed at the end. `streams` are read for what the log did not bring.

    `building`: it writes the tables beside the live ones (beside.py).
    Raises psycopg_pool.PoolTimeout in use, not here.
    """

    async def configure(connection: AsyncConnection[Any]) -> None:
        milliseconds = int(statement_timeout_seconds * 1000)
        await connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(milliseconds)])
        await connection.execute("SET jit = off")
        await connection.commit()
        if building:
            connection.cursor_factory = BuildingCursor

    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=2,
        timeout=connect_timeout_seconds,
        configure=configure,
        check=AsyncConnectionPool.check_connection,
        name="search-projection",
        open=False,
    )
    async with pool:
        yield SearchProjection(pool, streams, partition, BUILDER_LOCK if building else WRITER_LOCK)
