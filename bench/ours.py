"""Our own contender: the writer on its Postgres store, put together as the command API does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from commandside.aggregates import Aggregates
from commandside.event_store.postgres import PostgresEventStore
from commandside.writer import Writer
from domain.aggregates import StockItem
from domain.identity import stock_stream
from domain.values import Cause

WAREHOUSE = "main"


@asynccontextmanager
async def a_writer(database_url: str) -> AsyncIterator[Writer]:
    """Started, and stopped afterwards."""
    store = PostgresEventStore(database_url)
    try:
        writer = Writer(store)
        await writer.start()
        try:
            yield writer
        finally:
            await writer.stop()
    finally:
        store.close()


def a_cause() -> Cause:
    """As a request of a signed-in customer brings it: two ids of 36 characters each."""
    request_id = str(uuid7())
    return Cause(datetime.now(UTC), "customer:0193d7a0-5a3c-7c55-9a41", request_id, request_id)


def open_stock(aggregates: Aggregates, sku: str, units: int) -> None:
    """A decision: `units` of a new SKU come in."""
    aggregates.load([stock_stream(sku, WAREHOUSE)])
    item = StockItem.open(sku, WAREHOUSE, a_cause())
    item.receive(units, a_cause())
    aggregates.add(item)


def stock_item(aggregates: Aggregates, sku: str) -> StockItem:
    item = aggregates.find(StockItem, stock_stream(sku, WAREHOUSE))
    assert item is not None, f"the stock of {sku} was opened first"
    return item
