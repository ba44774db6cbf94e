"""Keeps OpenSearch up with the search tables.

The tables are exact (one transaction per batch of events), and number their changes; OpenSearch is a copy of them. A
document carries the number of its row's last change as its external version: whatever is sent twice, late, or by two
feeds at once changes nothing. How far the copy has come is noted after it was written and made searchable, and beside
it: a feed that dies in between sends some rows again. Nothing else is remembered, so that nothing else can be lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg
import structlog
from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import TransportError
from psycopg import AsyncConnection

from projections.search import opensearch_generations as generations
from projections.search import opensearch_rows as rows
from projections.search.opensearch_index import Names
from projections.search.opensearch_state import IndexState, Progress

# Any number will do that nobody else uses.
FEED_LOCK: Final = 0x73656566
_NOTHING: Final[Sequence[rows.Row]] = ()
_LOCK: Final = "SELECT pg_try_advisory_lock(%s)"
_log = structlog.get_logger(__name__)


class SearchFeed:
    """One at a time feeds (a lock in Postgres says which); the others stand by. The tables are never held up by it.

    An outage of either store is waited for, with growing pauses, for as long as it lasts: `trouble` tells. What changed
    within `pause_seconds` is sent together.
    """

    name: Final = "search-index"

    def __init__(
        self,
        database_url: str,
        client: AsyncOpenSearch,
        names: Names | None = None,
        *,
        pause_seconds: float = 0.1,
        standby_seconds: float = 1.0,
        longest_pause_seconds: float = 5.0,
        connect_timeout_seconds: float = 5.0,
        statement_timeout_seconds: float = 30.0,
        bulk_timeout_seconds: float = 30.0,
    ) -> None:
        self.position = 0
        self.refused_count = 0
        self.trouble: str | None = "has not started yet"
        self._database_url = database_url
        self._client = client
        self._names = names or Names()
        self._state = IndexState(client, self._names)
        self._pause_seconds = pause_seconds
        self._standby_seconds = standby_seconds
        self._longest_pause_seconds = longest_pause_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._statement_timeout_seconds = statement_timeout_seconds
        self._bulk_timeout_seconds = bulk_timeout_seconds
        self._caught_up_at = time.monotonic()
        self._is_refreshed = False

    @property
    def behind_seconds(self) -> float:
        """How long ago it last held all that the tables held."""
        return time.monotonic() - self._caught_up_at

    async def run(self) -> None:
        """Until cancelled."""
        outage_pause_seconds = self._pause_seconds
        while True:
            try:
                async with await self._connected() as connection:
                    if await self._is_first(connection):
                        while True:
                            await self._keep_up(connection)
                            outage_pause_seconds = self._pause_seconds
                            await asyncio.sleep(self._pause_seconds)
                    await self._stand_by()
            except (TransportError, psycopg.Error, OSError) as error:
                # What is no outage is not mended by ending the process either: it is told until somebody sees to it.
                self.trouble = f"{type(error).__name__}: {error}"
                _log.warning("search_index_behind", error=self.trouble, pause_seconds=outage_pause_seconds)
                await asyncio.sleep(outage_pause_seconds)
                outage_pause_seconds = min(2 * outage_pause_seconds, self._longest_pause_seconds)

    async def flush(self) -> int:
        """Brings the index up to the tables as they are now, whoever else is at it. The position it then holds.

        Raises TransportError, psycopg.Error.
        """
        async with await self._connected() as connection:
            await self._keep_up(connection)
        return self.position

    async def rebuild(self) -> int:
        """A new generation beside the live one, swapped in when it holds all; one that was begun is gone on with.

        Returns its number. Raises TransportError, psycopg.Error.
        """
        async with await self._connected() as connection:
            return await self._rebuild(connection)

    async def _keep_up(self, connection: AsyncConnection[Any]) -> None:
        live = await self._state.live()
        progress = await self._state.progress(live) if live is not None else None
        tables = await rows.standing(connection)
        if live is None or progress is None or _is_of_other_tables(progress, tables):
            _log.warning("search_index_is_made_anew", live=live, progress=progress, tables=tables)
            live = await self._rebuild(connection)
        else:
            progress = await self._catch_up(connection, live, progress)
            self.position = progress.position
        self.trouble = None
        self._caught_up_at = time.monotonic()

    async def _rebuild(self, connection: AsyncConnection[Any]) -> int:
        tables = await rows.standing(connection)
        generation = await generations.begin(self._state)
        progress = await self._state.progress(generation)
        if progress is None or _is_of_other_tables(progress, tables):
            await generations.make(self._client, self._names, generation)
            progress = Progress(tables.tables_id)
        self._is_refreshed = False
        progress = await self._catch_up(connection, generation, progress)
        await generations.swap(self._client, self._names, self._state, generation)
        self.position = progress.position
        _log.info("search_index_swapped", generation=generation, position=progress.position)
        return generation

    async def _catch_up(self, connection: AsyncConnection[Any], generation: int, progress: Progress) -> Progress:
        """Until no page is full: then all that the tables held just before is there, and made searchable.

        To come to the revision that was the last would not do: a row that changed again meanwhile is beyond it.
        """
        while True:
            tables = await rows.standing(connection)
            before, products, suggestions = progress, _NOTHING, _NOTHING
            if tables.products_revision > progress.products_revision:
                products = await rows.changed_products(connection, progress.products_revision)
                await self._send(self._names.generation(self._names.products, generation), products)
                progress = replace(progress, products_revision=_last(products, progress.products_revision))
            if tables.suggestions_revision > progress.suggestions_revision:
                suggestions = await rows.changed_suggestions(connection, progress.suggestions_revision)
                await self._send(self._names.generation(self._names.suggestions, generation), suggestions)
                progress = replace(progress, suggestions_revision=_last(suggestions, progress.suggestions_revision))
            is_complete = max(len(products), len(suggestions)) < rows.PAGE_LIMIT_ROWS
            if is_complete:
                # What was sent before this page, or by a feed that died, may not be searchable yet either.
                if progress != before or not self._is_refreshed:
                    await generations.refresh(self._client, self._names, generation)
                    self._is_refreshed = True
                progress = replace(progress, position=max(progress.position, tables.position))
            else:
                self._is_refreshed = False
            if progress != before:
                await self._state.save(generation, progress)
            if is_complete:
                return progress

    async def _send(self, index: str, changed: Sequence[rows.Row]) -> None:
        if not changed:
            return
        lines = []
        for row in changed:
            lines.append(f'{{"index":{{"_id":"{row.id}","version":{row.revision},"version_type":"external"}}}}')
            lines.append(row.document)
        answer = await self._client.bulk(
            index=index,
            body="\n".join(lines) + "\n",
            params={
                "request_timeout": self._bulk_timeout_seconds,
                "filter_path": "errors,items.*.status,items.*.error",
            },
        )
        if answer["errors"]:
            self._look_at([item["index"] for item in answer["items"]], changed)

    def _look_at(self, items: Sequence[dict[str, Any]], changed: Sequence[rows.Row]) -> None:
        """A conflict is a success: a later change is there. One that is refused is told and left as it was."""
        for item, row in zip(items, changed, strict=True):
            status = item["status"]
            if status < 300 or status == 409:
                continue
            if status == 429 or status >= 500:
                raise TransportError(status, "the bulk was not taken whole", item.get("error"))
            self.refused_count += 1
            _log.error("document_refused", id=row.id, revision=row.revision, error=item.get("error"))

    async def _is_first(self, connection: AsyncConnection[Any]) -> bool:
        row = await (await connection.execute(_LOCK, [FEED_LOCK])).fetchone()
        return bool(row and row[0])

    async def _stand_by(self) -> None:
        """Another one feeds; how far it is, is told here too."""
        self.position = await self._state.live_position()
        self.trouble = None
        self._caught_up_at = time.monotonic()
        await asyncio.sleep(self._standby_seconds)

    async def _connected(self) -> AsyncConnection[Any]:
        """One connection for the lock and the reading: whoever lost the one cannot go on with the other."""
        return await AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=int(self._connect_timeout_seconds),
            options=f"-c statement_timeout={int(self._statement_timeout_seconds * 1000)} -c jit=off",
        )


def _is_of_other_tables(progress: Progress, tables: rows.Standing) -> bool:
    """The tables are other ones, or as they were before a backup was put in their place."""
    return (
        progress.tables_id != tables.tables_id
        or progress.products_revision > tables.products_revision
        or progress.suggestions_revision > tables.suggestions_revision
    )


def _last(changed: Sequence[rows.Row], otherwise: int) -> int:
    return changed[-1].revision if changed else otherwise
