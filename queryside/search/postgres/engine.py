from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from queryside.search import answer
from queryside.search.cursor import Cursor, read_cursor
from queryside.search.engine import SearchUnavailable
from queryside.search.postgres.statement import IN_CATEGORY, has_words, search_statement, word_parameters
from queryside.search.postgres.suggesting import suggestions
from queryside.search.query import SearchQuery
from queryside.search.result import CategoryCount, EngineName, SearchResult
from queryside.search.words import Words, allowed_edits, correctable, folded, parse, replaced

_ANY: Final = SQL("SELECT EXISTS (SELECT FROM search.vectors v WHERE {has_words})")
_CATEGORIES: Final = """
SELECT c.path, p.count
  FROM (SELECT category_id, count(*) AS count FROM search.products WHERE listed GROUP BY category_id) p
  JOIN search.categories c ON c.id = p.category_id
 ORDER BY c.path
"""
_POSITION: Final = "SELECT coalesce(min(position), 0) FROM search.checkpoint WHERE projection = 'search'"
_HAS_CATEGORY: Final = SQL("SELECT EXISTS (SELECT FROM search.products p WHERE p.listed AND {in_category})")
# The last word may be the beginning of one: it is right when any word begins so.
_NEAREST: Final = """
SELECT typed.word, nearest.word
  FROM unnest(%s::text[], %s::int[], %s::boolean[]) AS typed (word, edits, beginning),
       LATERAL (SELECT l.word, search.edits(l.word, typed.word, typed.edits) AS edits, l.documents
                  FROM search.lexicon l
                 WHERE l.documents > 0
                   AND length(l.word) BETWEEN length(typed.word) - typed.edits AND length(typed.word) + typed.edits
                   AND search.edits(l.word, typed.word, typed.edits) <= typed.edits
                 ORDER BY 2, left(l.word, 1) <> left(typed.word, 1), l.documents DESC, l.word
                 LIMIT 1) nearest
 WHERE NOT EXISTS (SELECT FROM search.lexicon l WHERE l.documents > 0 AND l.word = typed.word)
   AND NOT (typed.beginning AND EXISTS (
           SELECT FROM search.lexicon l WHERE l.documents > 0 AND starts_with(l.word, typed.word)))
"""


class PostgresSearch:
    """The engine on the tables of projections.search. Every statement ends within the pool's statement timeout."""

    name: Final[EngineName] = "postgres"

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def search(self, query: SearchQuery) -> SearchResult:
        cursor = read_cursor(query, self.name)
        corrected = cursor.corrected_text if cursor else None
        async with self._connection() as connection:
            text = corrected or query.text
            words = parse(text) if text is not None else None
            found = await self._found(connection, query, words, cursor)
            if words is not None and text is not None and found.total == 0 and cursor is None:
                corrected = await self._corrected(connection, text, words)
                if corrected is not None:
                    found = await self._found(connection, query, parse(corrected), None)
        return answer.result(self.name, query, found, corrected)

    async def suggest(self, text: str) -> tuple[str, ...]:
        async with self._connection() as connection:
            return await suggestions(connection, text)

    async def categories(self) -> tuple[CategoryCount, ...]:
        async with self._connection() as connection:
            rows = await (await connection.execute(_CATEGORIES)).fetchall()
        return tuple(CategoryCount(path=tuple(path), count=count) for path, count in rows)

    async def has_category(self, path: tuple[str, ...]) -> bool:
        statement = _HAS_CATEGORY.format(in_category=IN_CATEGORY)
        async with self._connection() as connection:
            return await _is(connection, statement, {"category": list(path)})

    async def position(self) -> int:
        async with self._connection() as connection:
            row = await (await connection.execute(_POSITION)).fetchone()
        return int(row[0]) if row else 0

    async def _found(
        self, connection: AsyncConnection[Any], query: SearchQuery, words: Words | None, cursor: Cursor | None
    ) -> answer.Found:
        statement, parameters = search_statement(query, words, cursor)
        row = await (await connection.execute(statement, parameters)).fetchone()
        assert row is not None
        return msgspec.json.decode(row[0], type=answer.Found)

    async def _corrected(self, connection: AsyncConnection[Any], text: str, words: Words) -> str | None:
        """`text` with its unknown words put right: when that finds anything, and `text` even unfiltered nothing."""
        if await _any_with(connection, words):
            return None
        typed = {folded(word): word for word in correctable(text)}
        beginning = folded(words.beginning or "")
        parameters = [list(typed), [allowed_edits(word) for word in typed], [word == beginning for word in typed]]
        nearest = await (await connection.execute(_NEAREST, parameters)).fetchall()
        corrected = replaced(text, {typed[word]: right for word, right in nearest})
        return corrected if nearest and await _any_with(connection, parse(corrected)) else None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout, TooManyRequests) as error:
            raise SearchUnavailable from error


async def _any_with(connection: AsyncConnection[Any], words: Words) -> bool:
    return await _is(connection, _ANY.format(has_words=has_words(words)), word_parameters(words))


async def _is(connection: AsyncConnection[Any], statement: Composed, parameters: Mapping[str, Any]) -> bool:
    row = await (await connection.execute(statement, parameters)).fetchone()
    return bool(row and row[0])


@asynccontextmanager
async def open_postgres_search(
    database_url: str,
    *,
    max_connections_count: int = 4,
    max_waiting_count: int = 200,
    wait_timeout_seconds: float = 2.0,
    statement_timeout_seconds: float = 2.0,
) -> AsyncIterator[PostgresSearch]:
    """The engine on a pool of its own, closed at the end. It opens whether or not Postgres answers yet."""
    settings = {
        "statement_timeout": str(int(statement_timeout_seconds * 1000)),
        "default_transaction_read_only": "on",
        "jit": "off",
        # Two searches at once are served better by two cores than one search by both.
        "max_parallel_workers_per_gather": "0",
        "work_mem": "32MB",
    }

    async def configure(connection: AsyncConnection[Any]) -> None:
        for name, value in settings.items():
            await connection.execute("SELECT set_config(%s, %s, false)", [name, value])

    pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
        database_url,
        # Plans depend on how common a word is, so none is kept.
        kwargs={"autocommit": True, "prepare_threshold": None},
        min_size=1,
        max_size=max_connections_count,
        max_waiting=max_waiting_count,
        timeout=wait_timeout_seconds,
        configure=configure,
        # Those that a restart of Postgres broke are found out here, and not by a shopper.
        check=AsyncConnectionPool.check_connection,
        name="search",
        open=False,
    )
    async with pool:
        yield PostgresSearch(pool)
