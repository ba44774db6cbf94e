"""Builds the search tables again from the log beside the live ones, checks all of them, and swaps them in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg.errors import LockNotAvailable
from psycopg_pool import AsyncConnectionPool

from projections.search import SearchProjection, beside
from projections.search.projection import WRITER_LOCK
from streams.log_pages import LogPages
from streams.patience import TRANSIENT
from streams.rebuild import Progress, RebuildStopped
from streams.verify_search import SearchVerification

WINDOW_POSITIONS: Final = 2_000
SWAPS_LIMIT_COUNT: Final = 1_000
SHOWN_LIMIT_COUNT: Final = 20
_Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]


class SearchRebuild:
    """Nobody else rebuilds search meanwhile. Every method raises RebuildStopped, and psycopg.Error.

    `projection` writes the tables that are being built. OpenSearch is copied anew, and swapped in, by who feeds it: it
    sees that the tables are others.
    """

    def __init__(
        self,
        pool: _Pool,
        log: LogPages,
        projection: SearchProjection,
        progress: Progress,
        stopping: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._log = log
        self._projection = projection
        self._progress = progress
        self._stopping = stopping

    async def run(self) -> bool:
        """True when the new tables are live; False when it was asked to stop before, and can go on another time."""
        async with self._pool.connection() as connection:
            if await beside.has_shape(connection, beside.BUILDING):
                self._progress.say(f"search: goes on from position {await self._projection.checkpoint():,}.")
            else:
                await beside.make(connection)
            if not await self._fill():
                return False
            await self._check(connection)
            return await self._swap(connection)

    async def back(self) -> None:
        """The tables that were kept are brought up to the log, checked, and live again; the others are kept."""
        async with self._pool.connection() as connection:
            if not await beside.is_there(connection, beside.KEPT):
                raise RebuildStopped("There are no search tables to go back to.")
            await beside.take_back(connection)
        await self.run()

    async def drop_old(self) -> None:
        async with self._pool.connection() as connection:
            await beside.drop(connection, beside.KEPT)
        self._progress.say("search: the tables that were kept are gone.")

    async def abandon(self) -> None:
        async with self._pool.connection() as connection:
            await beside.drop(connection, beside.BUILDING)
        self._progress.say("search: what was built is gone.")

    async def _fill(self) -> bool:
        """Up to the end of the log as it is now."""
        position, end = await self._projection.checkpoint(), await self._log.last_position()
        self._progress.begin("search", end - position)
        async for up_to, events in self._log.windows(position, end, WINDOW_POSITIONS):
            if self._stopping():
                return False
            try:
                await self._projection.apply(events, up_to)
            except TRANSIENT:
                raise
            except Exception as error:
                raise RebuildStopped(
                    f"an event up to position {up_to} cannot be applied ({error!r}). Nothing was swapped."
                ) from error
            self._progress.advance(up_to - position)
            position = up_to
        return True

    async def _check(self, connection: psycopg.AsyncConnection[Any]) -> None:
        live_cursors, connection.cursor_factory = connection.cursor_factory, beside.BuildingCursor
        try:
            verification, found = SearchVerification(connection, self._log), list[str]()
            async for difference in verification.differences():
                if len(found) < SHOWN_LIMIT_COUNT:
                    found.append(f"{difference.what}: {difference.key} {difference.field or ''}")
        finally:
            connection.cursor_factory = live_cursors
        if found:
            raise RebuildStopped("\n".join(["what was built is not what the log says; nothing was swapped:", *found]))
        self._progress.say(
            f"search: {verification.streams_count:,} streams replayed at position {verification.position:,}: right."
        )

    async def _swap(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        for _ in range(SWAPS_LIMIT_COUNT):
            if not await self._fill():
                return False
            try:
                if await beside.swap(connection, WRITER_LOCK):
                    self._progress.say("search: the new tables are live; the others are kept.")
                    return True
            except LockNotAvailable:
                continue  # somebody reads them for long
        raise RebuildStopped("the live tables could not be had for a moment. Start it again: it goes on from here.")
