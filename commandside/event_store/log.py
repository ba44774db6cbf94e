from __future__ import annotations

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg

from commandside.event_store.errors import StoreUnavailable
from commandside.event_store.mapper import EventMapper, Row
from commandside.event_store.schema import CHANNEL
from domain.events import Recorded


class EventLog(Protocol):
    """All events in the order of their commits, for those who follow."""

    async def read(self, after: int, limit: int) -> list[Recorded]:
        """At most `limit` events with positions above `after`, ascending. Raises StoreUnavailable."""
        ...

    async def last_position(self) -> int:
        """0 when the log is empty. Raises StoreUnavailable."""
        ...

    async def wait_for_append(self, timeout_seconds: float) -> None:
        """Returns when something may have been appended since the last call, at the latest after the timeout."""
        ...


class PostgresEventLog:
    """EventLog on two connections of its own: one reads, one listens. Both are made anew after a failure.

    After a full page the next one is asked for at once, so that Postgres finds it while this one is being decoded and
    worked on: never more than that one page ahead. One call at a time.
    """

    def __init__(
        self,
        database_url: str,
        *,
        connect_timeout_seconds: int = 5,
        answer_timeout_seconds: float = 30.0,
        mapper: EventMapper | None = None,
        wanted: Collection[str] | None = None,
    ) -> None:
        """Of events whose topics are not among those `wanted`, `read` gives only the type, stream and version."""
        self._url = database_url
        self._connect_timeout_seconds = connect_timeout_seconds
        self._answer_timeout_seconds = answer_timeout_seconds
        self._mapper = mapper or EventMapper()
        self._wanted = wanted
        self._reading: psycopg.AsyncConnection | None = None
        self._listening: psycopg.AsyncConnection | None = None
        self._ahead: tuple[int, int, asyncio.Task[list[Row]]] | None = None

    async def read(self, after: int, limit: int) -> list[Recorded]:
        return self._mapper.read_page(await self.read_rows(after, limit), self._wanted)

    async def read_rows(self, after: int, limit: int) -> list[Row]:
        """The same as they are stored, for who hands them on. Raises StoreUnavailable."""
        rows = await self._page(after, limit)
        if len(rows) == limit:
            position = rows[-1][0]
            self._ahead = (position, limit, asyncio.create_task(self._fetch(_READ, (position, limit))))
            await asyncio.sleep(0)  # lets it be sent before the decoding begins
        return rows

    async def last_position(self) -> int:
        await self._forget_ahead()
        ((position,),) = await self._fetch(_LAST, ())
        return int(position)

    async def wait_for_append(self, timeout_seconds: float) -> None:
        try:
            if self._listening is None or self._listening.closed:
                self._listening = await self._connect()
                await self._listening.execute(f"LISTEN {CHANNEL}")
                return  # something may have been appended before we listened
            async for _ in self._listening.notifies(timeout=timeout_seconds, stop_after=1):
                pass
        except psycopg.Error as error:
            raise StoreUnavailable(str(error)) from error

    async def close(self) -> None:
        await self._forget_ahead()
        for connection in (self._reading, self._listening):
            if connection is not None:
                await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _page(self, after: int, limit: int) -> list[Row]:
        if self._ahead is not None and self._ahead[:2] == (after, limit):
            task, self._ahead = self._ahead[2], None
            return await task
        await self._forget_ahead()
        return await self._fetch(_READ, (after, limit))

    async def _forget_ahead(self) -> None:
        if self._ahead is not None:
            task, self._ahead = self._ahead[2], None
            task.cancel()
            # Not for its result: whoever cancels us meanwhile must be heard.
            await asyncio.wait([task], timeout=self._answer_timeout_seconds)
            if task.done() and not task.cancelled():
                task.exception()  # seen

    async def _fetch(self, query: str, params: tuple[int, ...]) -> list[Any]:
        try:
            async with asyncio.timeout(self._answer_timeout_seconds):
                if self._reading is None or self._reading.closed:
                    self._reading = await self._connect()
                cursor = self._reading.cursor(binary=True)
                await cursor.execute(query, params, prepare=True)
                return await cursor.fetchall()
        except psycopg.Error as error:
            raise StoreUnavailable(str(error)) from error
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {self._answer_timeout_seconds} s") from error

    async def _connect(self) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=self._connect_timeout_seconds
        )


_READ = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
    "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
)
_LAST = "SELECT coalesce(max(notification_id), 0) FROM log.stored_events"
