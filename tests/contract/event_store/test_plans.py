"""What is asked for by stream is found by stream, however long the log is and whatever the planner thinks of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from domain.events import AnyEvent
from domain.identity import stock_stream
from tests.strategies import cause

STREAMS_COUNT = 300
EVENTS_COUNT = 20


@pytest.fixture
async def long_log(database_url: str) -> str:
    """Its URL. It has never been analysed."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE log.stored_events SET (autovacuum_enabled = false)")
    async with opened(database_url) as store:
        await store.append([event for number in range(STREAMS_COUNT) for event in lamps(number)], {})
    return database_url


async def test_a_load_reads_only_the_streams_it_is_for(long_log: str) -> None:
    before = rows_read_in_sequence(long_log)
    async with opened(long_log) as store:
        for _ in range(10):  # a prepared statement may be planned anew up to the sixth time
            loaded = await store.load({lamp(7): 0, **{uuid4(): 0 for _ in range(9)}})
            assert [len(events) for events in loaded.values()] == [EVENTS_COUNT + 1]
            assert len((await store.load({lamp(number): EVENTS_COUNT for number in range(10)}))[lamp(7)]) == 1
    assert rows_read_in_sequence(long_log) == before


async def test_an_append_reads_only_the_streams_it_read(long_log: str) -> None:
    reads = {lamp(number): EVENTS_COUNT + 1 for number in range(10)}
    before = rows_read_in_sequence(long_log)
    async with opened(long_log) as store:
        for number in range(10):
            await store.append(lamps(STREAMS_COUNT + number), {}, reads)
            await store.check(reads)
    assert rows_read_in_sequence(long_log) == before


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Its sessions say what they read when they end."""
    store = PostgresEventStore(database_url)
    try:
        yield store
    finally:
        store.close()


def lamp(number: int) -> UUID:
    return stock_stream(f"lamp {number}", "north")


def lamps(number: int) -> list[AnyEvent]:
    item = StockItem.open(f"lamp {number}", "north", cause())
    for _ in range(EVENTS_COUNT):
        item.receive(1, cause())
    return item.collect_events()


def rows_read_in_sequence(database_url: str) -> int:
    """Of the log, by sessions that have ended."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        while others_are_there(connection):
            time.sleep(0.01)
        row = connection.execute(
            "SELECT seq_tup_read FROM pg_stat_user_tables WHERE schemaname = 'log' AND relname = 'stored_events'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def others_are_there(connection: psycopg.Connection) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return connection.execute(query).fetchone() is not None
