"""The events of one view from the log, as a rebuild and a verification read them: by place, by stream, or a sample."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from commandside.event_store.mapper import EventMapper, Row
from projections.recorded import Recorded

_COLUMNS: Final = "notification_id, originator_id, originator_version, topic, state"
_LAST: Final = "SELECT coalesce(max(notification_id), 0) FROM log.stored_events"
_WINDOW: Final = (
    f"SELECT {_COLUMNS} FROM log.stored_events "
    "WHERE notification_id > %s AND notification_id <= %s AND topic = ANY(%s) ORDER BY notification_id"
)
_BY_STREAM: Final = (
    f"SELECT {_COLUMNS} FROM log.stored_events WHERE (originator_id, originator_version) > (%s, %s) "
    "ORDER BY originator_id, originator_version LIMIT %s"
)
_STREAMS: Final = (
    f"SELECT {_COLUMNS} FROM log.stored_events WHERE originator_id = ANY(%s) AND topic = ANY(%s) "
    "AND notification_id <= %s ORDER BY originator_id, originator_version"
)
_FIRSTS: Final = (
    f"SELECT {_COLUMNS} FROM log.stored_events "
    "WHERE originator_id = ANY(%s) AND originator_version = 1 AND topic = ANY(%s)"
)
_COUNT: Final = (
    "SELECT count(*) FROM log.stored_events "
    "WHERE topic = ANY(%s) AND notification_id <= %s AND NOT originator_id = ANY(%s)"
)
_SAMPLE: Final = """
SELECT DISTINCT found.originator_id FROM unnest(%s::bigint[]) AS place CROSS JOIN LATERAL (
    SELECT originator_id, topic FROM log.stored_events
     WHERE notification_id >= place ORDER BY notification_id LIMIT 64
) found WHERE topic = ANY(%s)
"""
_EVERYTHING: Final = 2**63 - 1
_Pool = AsyncConnectionPool[psycopg.AsyncConnection]


class LogPages:
    """Of the events of these types only, and of those that are carried forward to them. Raises psycopg.Error.

    `pool` has room for two connections: the next window is fetched while one is worked on.
    """

    def __init__(self, pool: _Pool, event_types: Iterable[type], mapper: EventMapper | None = None) -> None:
        self._pool = pool
        self._mapper = mapper or EventMapper()
        self.topics = self._mapper.topics_of(event_types)

    async def last_position(self) -> int:
        ((position,),) = await self._rows(_LAST, ())
        return int(position)

    async def windows(self, after: int, up_to: int, size_positions: int) -> AsyncIterator[tuple[int, list[Recorded]]]:
        """(place, events): all events of interest up to that place. Places end with `up_to`; a window may be empty."""
        async with aclosing(self._windows(after, up_to, size_positions)) as windows:
            async for end, rows in windows:
                yield end, self._mapper.read_page(rows)

    async def states(self, up_to: int, size_positions: int) -> AsyncIterator[list[tuple[UUID, str, bytes]]]:
        """(stream, topic, JSON) of all events of interest, a window's at a time, for who makes no events of them."""
        current = self._mapper.current
        async with aclosing(self._windows(0, up_to, size_positions)) as windows:
            async for _, rows in windows:
                yield [(stream_id, *current(topic, state)) for _, stream_id, _, topic, state in rows]

    async def _windows(
        self, after: int, up_to: int, size_positions: int
    ) -> AsyncGenerator[tuple[int, list[Row]], None]:
        ends = [*range(after + size_positions, up_to, size_positions), up_to] if after < up_to else []
        ahead: asyncio.Task[list[Row]] | None = None
        try:
            for number, end in enumerate(ends):
                rows = await ahead if ahead else await self._window(after, end)
                ahead = None
                if number + 1 < len(ends):
                    ahead = asyncio.create_task(self._window(end, ends[number + 1]))
                    await asyncio.sleep(0)  # lets it be sent before the decoding begins
                yield end, rows
                after = end
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def window(self, after: int, up_to: int) -> list[Recorded]:
        """The events of interest between these places."""
        return self._mapper.read_page(await self._window(after, up_to))

    async def by_stream(self, page_size_events: int) -> AsyncIterator[dict[UUID, list[Recorded]]]:
        """All streams, each once and whole, as many at a time as come in a page; a stream may be longer than that."""
        stream_id, version = UUID(int=0), 0
        unfinished: list[Row] = []
        while rows := await self._rows(_BY_STREAM, (stream_id, version, page_size_events)):
            stream_id, version = rows[-1][1], rows[-1][2]
            rows = unfinished + rows
            unfinished = [row for row in rows if row[1] == stream_id]
            yield self._grouped(rows[: len(rows) - len(unfinished)])
        yield self._grouped(unfinished)

    async def streams(self, ids: Collection[UUID], up_to: int = _EVERYTHING) -> dict[UUID, list[Recorded]]:
        """The whole streams, as they were at that position; those without events are left out."""
        return self._grouped(await self._rows(_STREAMS, (list(ids), self.topics, up_to)))

    async def firsts(self, ids: Collection[UUID]) -> dict[UUID, Recorded]:
        """The first event of each stream that there is."""
        page = self._mapper.read_page(await self._rows(_FIRSTS, (list(ids), self.topics)))
        return {recorded.event.originator_id: recorded for recorded in page}

    async def count(self, topics: Sequence[str], up_to: int, without: Collection[UUID]) -> int:
        """The events of these topics up to that position, but for those of some streams."""
        ((number,),) = await self._rows(_COUNT, (list(topics), up_to, list(without)))
        return int(number)

    async def sample(self, seed: int, streams_count: int, up_to: int) -> list[UUID]:
        """Streams that are found at places of the log drawn with that seed: the same log and seed, the same streams."""
        chance = random.Random(seed)  # noqa: S311 -- a sample, not a secret
        places = [chance.randint(1, max(1, up_to)) for _ in range(streams_count)]
        found = sorted(row[0] for row in await self._rows(_SAMPLE, (places, self.topics)))
        return sorted(chance.sample(found, min(streams_count, len(found))))

    async def _window(self, after: int, up_to: int) -> list[Row]:
        return await self._rows(_WINDOW, (after, up_to, self.topics))

    async def _rows(self, query: str, params: Sequence[Any]) -> list[Any]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            await cursor.execute(query.encode(), params, prepare=True)
            return await cursor.fetchall()

    def _grouped(self, rows: Sequence[Row]) -> dict[UUID, list[Recorded]]:
        wanted = set(self.topics)
        streams: dict[UUID, list[Recorded]] = {}
        for recorded in self._mapper.read_page([row for row in rows if row[3] in wanted]):
            streams.setdefault(recorded.event.originator_id, []).append(recorded)
        return streams
