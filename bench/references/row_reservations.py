"""What the two references with rows have in common: the clients, the pool, and the record of every reservation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from bench.apart import Begin
from bench.load import Sale, sell_out
from bench.ours import a_cause

WAIT_TIMEOUT_SECONDS: Final = 60.0
PREPARE_AFTER_COUNT: Final = 0
RESERVED_FOR: Final = timedelta(minutes=10)

CREATE_RESERVATIONS: Final = """
CREATE TABLE {schema}.reservations (
    reservation_id uuid PRIMARY KEY,
    sku text NOT NULL,
    warehouse_id text NOT NULL,
    quantity bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    reserved_at timestamptz NOT NULL,
    actor text NOT NULL,
    causation_id text NOT NULL,
    correlation_id text NOT NULL
)
"""


def sell(
    begin: Begin, url: str, sku: str, warm_up_sku: str, clients_count: int, statement: str, pool_size_connections: int
) -> Sale:
    """`statement` reserves one unit, records it and returns a row; or none, when there is no unit left."""

    async def contend() -> Sale:
        pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            min_size=pool_size_connections,
            max_size=pool_size_connections,
            timeout=WAIT_TIMEOUT_SECONDS,
            kwargs={"autocommit": True, "prepare_threshold": PREPARE_AFTER_COUNT},
            open=False,
        )
        async with pool:
            await pool.wait()
            await sell_out(clients_count, lambda: reserve(pool, warm_up_sku))
            begin()
            return await sell_out(clients_count, lambda: reserve(pool, sku))

    async def reserve(pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]], of: str) -> bool:
        cause = a_cause()
        values = (
            of,
            uuid7(),
            cause.at + RESERVED_FOR,
            datetime.now(UTC),
            cause.actor,
            cause.causation_id,
            cause.correlation_id,
        )
        async with pool.connection() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchone() is not None

    return uvloop.run(contend())


def reserved(url: str, schema: str, sku: str) -> int:
    with psycopg.connect(url) as connection:
        row: Any = connection.execute(
            f"SELECT coalesce(sum(quantity), 0)::bigint FROM {schema}.reservations WHERE sku = %s".encode(), (sku,)
        ).fetchone()
    return int(row[0])
