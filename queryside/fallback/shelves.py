"""Stock levels in Postgres: of the tables that search keeps, not by replay. Stock has the longest streams of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from projections.stock_level import StockLevel

_LEVELS: Final = """
SELECT sku, warehouse_id, version, on_hand, reserved FROM search.stock WHERE sku = ANY(%s) ORDER BY sku, warehouse_id
"""
_POSITION: Final = "SELECT coalesce(min(position), 0) FROM search.checkpoint WHERE projection = 'search'"

Levels = Mapping[str, StockLevel]


class Shelves(Protocol):
    """Both raise psycopg.Error and PoolTimeout, or their like."""

    async def levels(self, skus: Sequence[str]) -> dict[str, Levels]:
        """By SKU and warehouse, those that ever had any."""
        ...

    async def position(self) -> int:
        """Up to which position of the log they are known."""
        ...


class PostgresShelves:
    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection]) -> None:
        self._pool = pool

    async def levels(self, skus: Sequence[str]) -> dict[str, Levels]:
        found: dict[str, dict[str, StockLevel]] = {}
        for sku, warehouse_id, *level in await self._rows(_LEVELS, [list(skus)]):
            found.setdefault(sku, {})[warehouse_id] = StockLevel(*level)
        return dict(found)

    async def position(self) -> int:
        ((position,),) = await self._rows(_POSITION, [])
        return int(position)

    async def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await _fetched(connection, statement, parameters)


async def _fetched(
    connection: AsyncConnection[Any], statement: str, parameters: Sequence[Any]
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement.encode(), parameters)).fetchall()
