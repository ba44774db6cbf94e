"""The search tables a second time, in a schema of their own beside the live ones, and how the two change places.

Readers and the writer name the tables of schema `search`. Whoever builds the others uses the same statements on a
connection whose cursors put the other schema's name in their place; functions, dictionaries and the sequence of
revisions are shared. To change places is to move tables from one schema to another, in one transaction.
"""

from __future__ import annotations

import re
from typing import Any, Final, LiteralString, Self

from psycopg import AsyncConnection, AsyncCursor

TABLES: Final = (
    "categories", "brands", "products", "documents", "vectors", "stock", "orders", "lexicon", "checkpoint", "identity",
    "changes", "suggestions",
)  # fmt: skip
BUILDING: Final = "search_next"
KEPT: Final = "search_kept"
# Of who writes the tables that are being built; the live ones have their own (projection.WRITER_LOCK).
BUILDER_LOCK: Final = 0x73656E65
WRITER_TIMEOUT_SECONDS: Final = 1.0
# Of each table. For all of them together it is less than the second after which Postgres looks for a deadlock: readers
# take the tables in an order of their own, and of the two it is never they who are ended.
LOCK_TIMEOUT_SECONDS: Final = 0.05

_OF_A_PRODUCT: Final = ("documents", "vectors", "changes")
_UPDATED_OFTEN: Final = ("products", "stock", "changes")
_NAMES: Final = re.compile(rf"\bsearch\.({'|'.join(TABLES)})\b")
_COLUMNS: Final = (
    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = "
)
_SHAPES_DIFFER: Final = f"""
SELECT EXISTS (({_COLUMNS} 'search') EXCEPT ({_COLUMNS} %(schema)s))
    OR EXISTS (({_COLUMNS} %(schema)s) EXCEPT ({_COLUMNS} 'search'))
"""


def in_schema(statement: str, schema: str) -> str:
    """The same, on the tables of that schema."""
    return _NAMES.sub(rf"{schema}.\1", statement)


class BuildingCursor(AsyncCursor[Any]):
    """Takes statements about the live tables, and does them to those that are being built."""

    async def execute(self, query: Any, params: Any = None, **how: Any) -> Self:
        text = query.decode() if isinstance(query, bytes) else query
        return await super().execute(in_schema(text, BUILDING).encode(), params, **how)


async def has_shape(connection: AsyncConnection[Any], schema: str) -> bool:
    """Whether there are tables in that schema as the live ones are today. Raises psycopg.Error."""
    return not await _one(connection, _SHAPES_DIFFER, {"schema": schema})


async def make(connection: AsyncConnection[Any]) -> None:
    """Empty tables to build into, whatever was there before. Raises psycopg.Error."""
    async with connection.transaction():
        await drop(connection, BUILDING)
        await connection.execute(f"CREATE SCHEMA {BUILDING}".encode())
        for table in TABLES:
            await connection.execute(f"CREATE TABLE {BUILDING}.{table} (LIKE search.{table} INCLUDING ALL)".encode())
        for table in _OF_A_PRODUCT:
            reference = f"ALTER TABLE {BUILDING}.{table} ADD FOREIGN KEY (id) REFERENCES {BUILDING}.products"
            await connection.execute(reference.encode())
        for table in _UPDATED_OFTEN:
            await connection.execute(f"ALTER TABLE {BUILDING}.{table} SET (fillfactor = 80)".encode())
        # Whoever copied the live tables sees by it that these are others (projections/search/opensearch_feed.py).
        await connection.execute(f"INSERT INTO {BUILDING}.identity DEFAULT VALUES".encode())


async def drop(connection: AsyncConnection[Any], schema: str) -> None:
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


async def swap(connection: AsyncConnection[Any], writer_lock: int) -> bool:
    """The tables that were built are the live ones, which are kept. False, and nothing, while they hold less.

    Nobody writes the live ones meanwhile. Readers wait for as long as it takes to rename a dozen tables; where they do
    not let go of one within LOCK_TIMEOUT_SECONDS, or the writer of its lock within WRITER_TIMEOUT_SECONDS, it raises
    psycopg.errors.LockNotAvailable, and nothing is done.
    """
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{WRITER_TIMEOUT_SECONDS}s'".encode())
        await connection.execute(b"SELECT pg_advisory_xact_lock(%s)", [writer_lock])
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'".encode())
        if await position(connection, BUILDING) < await position(connection, "search"):
            return False
        await drop(connection, KEPT)
        await connection.execute(f"CREATE SCHEMA {KEPT}".encode())
        for table in TABLES:
            await connection.execute(f"ALTER TABLE search.{table} SET SCHEMA {KEPT}".encode())
        for table in TABLES:
            await connection.execute(f"ALTER TABLE {BUILDING}.{table} SET SCHEMA search".encode())
        await drop(connection, BUILDING)
        return True


async def take_back(connection: AsyncConnection[Any]) -> None:
    """The tables that were kept are those that are being built: to be brought up to the log, and swapped in again."""
    async with connection.transaction():
        await drop(connection, BUILDING)
        await connection.execute(f"ALTER SCHEMA {KEPT} RENAME TO {BUILDING}".encode())


async def position(connection: AsyncConnection[Any], schema: LiteralString) -> int:
    """What all partitions hold of the log."""
    return int(await _one(connection, f"SELECT coalesce(min(position), 0) FROM {schema}.checkpoint"))


async def is_there(connection: AsyncConnection[Any], schema: str) -> bool:
    return bool(await _one(connection, "SELECT to_regnamespace(%s) IS NOT NULL", [schema]))


async def _one(connection: AsyncConnection[Any], query: str, params: Any = None) -> Any:
    row = await (await connection.execute(query.encode(), params)).fetchone()
    return row[0] if row else None
