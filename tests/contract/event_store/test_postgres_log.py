"""Who follows the log misses nothing, sees nothing twice, and hears of an append at once."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import psycopg
import pytest

from commandside.event_store import StoreUnavailable
from commandside.event_store.log import PostgresEventLog
from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from domain.events import AnyEvent, Recorded
from tests.rules.sources import PROJECT
from tests.strategies import cause

PROCESSES_COUNT, WRITERS_COUNT, APPENDS_COUNT = 2, 4, 250
PATIENCE_SECONDS = 60.0
PROMPT_SECONDS = 10.0


@pytest.fixture
def store(database_url: str) -> Iterator[PostgresEventStore]:
    store = PostgresEventStore(database_url)
    yield store
    store.close()


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[PostgresEventLog]:
    async with PostgresEventLog(database_url) as log:
        yield log


def lamps(*quantities: int) -> list[AnyEvent]:
    item = StockItem.open("lamp", "north", cause())
    for quantity in quantities:
        item.receive(quantity, cause())
    return item.collect_events()


async def test_it_reads_on_from_a_position(store: PostgresEventStore, log: PostgresEventLog) -> None:
    assert await log.last_position() == 0
    assert await log.read(0, 10) == []
    positions = list(await store.append(lamps(1, 2, 3), {}))

    everything = [Recorded(*pair) for pair in zip(positions, lamps(1, 2, 3), strict=True)]
    assert await log.read(0, 10) == everything
    assert await log.read(0, 2) == everything[:2]
    assert await log.read(positions[1], 10) == everything[2:]
    assert await log.read(positions[-1], 10) == []
    assert await log.last_position() == positions[-1]


async def test_a_conflict_leaves_a_gap_at_most(store: PostgresEventStore, log: PostgresEventLog) -> None:
    await store.append(lamps(1), {})
    outcomes = await asyncio.gather(*[store.append(lamps(1, 9)[2:], {}) for _ in range(5)], return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 4
    assert [recorded.event for recorded in await log.read(0, 100)] == lamps(1, 9)


async def test_nothing_is_missed_under_concurrent_writers(database_url: str, log: PostgresEventLog) -> None:
    """Eight writers in two processes, and a reader at their heels the whole time."""
    environment = {**os.environ, "DATABASE_URL": database_url}
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.event_store.appending_process", f"p{n}", str(WRITERS_COUNT),
            str(APPENDS_COUNT), env=environment, cwd=PROJECT, stdout=asyncio.subprocess.PIPE,
        )
        for n in range(PROCESSES_COUNT)
    ]  # fmt: skip
    ends = asyncio.gather(*[writer.communicate() for writer in writers])
    seen: list[Recorded] = []
    reads_while_writing_count = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            done = ends.done()  # asked first: what is appended before the end is in the read after it
            batch = await log.read(seen[-1].position if seen else 0, 97)
            seen += batch
            reads_while_writing_count += bool(batch and not done)
            if done and not batch:
                break
            if not batch:
                await log.wait_for_append(1.0)
        said = [int(output) for output, _ in await ends]

    assert [writer.returncode for writer in writers] == [0] * PROCESSES_COUNT
    assert reads_while_writing_count > 10, "the reader came too late to prove anything"
    positions = [recorded.position for recorded in seen]
    assert positions == sorted(set(positions)), "ascending, and none twice"
    assert positions[-1] == max(said)
    per_stream: Counter[UUID] = Counter()
    for recorded in seen:
        per_stream[recorded.event.originator_id] += 1
        assert recorded.event.originator_version == per_stream[recorded.event.originator_id], "in order, none missing"
    assert len(seen) == await events_count(database_url) > 2_000


async def test_an_append_wakes_who_waits(store: PostgresEventStore, log: PostgresEventLog) -> None:
    await log.wait_for_append(PATIENCE_SECONDS)  # the first call only begins to listen
    waiting = asyncio.create_task(log.wait_for_append(PATIENCE_SECONDS))
    await asyncio.sleep(0)
    began = time.monotonic()

    await store.append(lamps(1), {})
    await asyncio.wait_for(waiting, PATIENCE_SECONDS)

    assert time.monotonic() - began < PROMPT_SECONDS


async def test_an_append_between_two_waits_is_not_missed(store: PostgresEventStore, log: PostgresEventLog) -> None:
    await log.wait_for_append(PATIENCE_SECONDS)
    await store.append(lamps(1), {})
    began = time.monotonic()
    await log.wait_for_append(PATIENCE_SECONDS)
    assert time.monotonic() - began < PROMPT_SECONDS


async def test_without_an_append_the_wait_is_as_long_as_it_was_said(log: PostgresEventLog) -> None:
    await log.wait_for_append(PATIENCE_SECONDS)
    began = time.monotonic()
    await log.wait_for_append(1.0)
    assert 0.9 < time.monotonic() - began < PROMPT_SECONDS + 1


async def test_it_connects_again_after_the_server_ended_its_connections(
    database_url: str, store: PostgresEventStore, log: PostgresEventLog
) -> None:
    await store.append(lamps(1), {})
    await log.wait_for_append(PATIENCE_SECONDS)
    assert len(await log.read(0, 10)) == 2
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises(StoreUnavailable):
        await log.read(0, 10)
    with pytest.raises(StoreUnavailable):
        await log.wait_for_append(PATIENCE_SECONDS)
    assert len(await log.read(0, 10)) == 2
    await asyncio.wait_for(log.wait_for_append(PATIENCE_SECONDS), PROMPT_SECONDS)  # it listens anew


async def test_a_server_that_is_not_there_is_said_to_be() -> None:
    async with PostgresEventLog("postgresql://postgres@127.0.0.1:1/none", connect_timeout_seconds=2) as log:
        for call in (log.read(0, 1), log.last_position(), log.wait_for_append(1)):
            with pytest.raises(StoreUnavailable):
                await call


async def events_count(database_url: str) -> int:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute("SELECT count(*) FROM log.stored_events")).fetchone()
        assert row is not None
        return int(row[0])
