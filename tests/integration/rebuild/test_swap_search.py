"""The tables of search change places under readers who take them in an order of their own."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.errors import LockNotAvailable

from projections.search import beside
from projections.search.projection import WRITER_LOCK
from tests.integration.rebuild.beside import Stores
from tests.waiting import eventually

# Of the second after which Postgres looks for a deadlock: the swap waits for one reader, then for the other.
HELD_SECONDS = 0.7


async def test_a_reader_is_never_ended_for_a_swap(stores: Stores) -> None:
    async with (
        await psycopg.AsyncConnection.connect(stores.database_url, autocommit=True) as swapping,
        await psycopg.AsyncConnection.connect(stores.database_url) as slow,
        await psycopg.AsyncConnection.connect(stores.database_url) as crossing,
    ):
        await beside.make(swapping)
        await slow.execute("LOCK TABLE search.documents IN ACCESS SHARE MODE")
        await crossing.execute("LOCK TABLE search.vectors IN ACCESS SHARE MODE")

        async def let_go() -> None:
            await asyncio.sleep(HELD_SECONDS)
            await slow.rollback()

        swap = asyncio.create_task(beside.swap(swapping, WRITER_LOCK))
        letting_go = asyncio.create_task(let_go())
        await until_it_has_products(stores.database_url, swap)
        # It waits for a table that the swap has, and has one that the swap will wait for.
        await crossing.execute("SELECT count(*) FROM search.products")
        await crossing.rollback()
        with pytest.raises(LockNotAvailable):
            await swap
        await letting_go
        assert await beside.swap(swapping, WRITER_LOCK), "nobody reads any more"


async def until_it_has_products(database_url: str, swap: asyncio.Task[bool]) -> None:
    held = (
        "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'"
        " AND relation = to_regclass('search.products')"
    )
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:

        async def has() -> bool:
            row = await (await connection.execute(held)).fetchone()
            return swap.done() or (row is not None and row[0] > 0)

        await eventually(has, bool)
