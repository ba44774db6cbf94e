"""Who tails the log at the heels of sixteen writers in two processes misses nothing and sees nothing twice.

Our own reader and the library's subscription, both at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from eventsourcing.postgres import PostgresDatastore

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.postgres import PostgresEventStore
from commandside.event_store.recorder import BatchRecorder
from commandside.event_store.schema import SCHEMA
from domain.aggregates import StockItem
from domain.identity import stock_stream
from tests.profiles import profile
from tests.rules.sources import PROJECT
from tests.strategies import cause

PROCESSES_COUNT, WRITERS_COUNT = 2, 8
PAGE_EVENTS = 97
PROMPT_SECONDS = 1.0
THE_LAST = stock_stream("the-last", "north")
Seen = tuple[int, UUID, int]  # position, stream, version


@pytest.fixture
def recorder(database_url: str) -> Iterator[BatchRecorder]:
    info = psycopg.conninfo.conninfo_to_dict(database_url)
    datastore = PostgresDatastore(
        dbname=str(info["dbname"]),
        host=str(info["host"]),
        port=str(info["port"]),
        user=str(info["user"]),
        password=str(info.get("password", "")),
        pool_size=3,
        schema=SCHEMA,
    )
    yield BatchRecorder(datastore)
    datastore.close()


@pytest.mark.timeout(1200)
async def test_nothing_is_missed_and_nothing_seen_twice(database_url: str, recorder: BatchRecorder) -> None:
    appends_count, events_count, patience_seconds = {"short": (160, 5_000, 90), "long": (3_150, 100_000, 1_100)}[
        profile()
    ]
    await follow_writers(database_url, recorder, appends_count, events_count, patience_seconds)


async def follow_writers(
    database_url: str, recorder: BatchRecorder, appends_count: int, least_events_count: int, patience_seconds: float
) -> None:
    """Each writer makes so many appends, two events in the mean."""
    writing_ended = threading.Event()
    ours = asyncio.create_task(read_pages(database_url, writing_ended))
    theirs = asyncio.create_task(asyncio.to_thread(subscribe, recorder, writing_ended, patience_seconds))
    try:
        async with asyncio.timeout(patience_seconds):
            await write(database_url, appends_count)
            writing_ended.set()
            await append_the_last(database_url)
            seen_by_reader, early_by_reader = await ours
            seen_by_subscription, early_by_subscription = await theirs
    finally:
        ours.cancel()
    stored = await everything_stored(database_url)

    assert len(stored) > least_events_count
    assert min(early_by_reader, early_by_subscription) > least_events_count / 20, "they came too late to prove anything"
    assert seen_by_reader == stored
    assert seen_by_subscription == stored
    ensure_streams_whole(stored)


async def write(database_url: str, appends_count: int) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url}
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.event_store.appending_process", f"p{n}", str(WRITERS_COUNT),
            str(appends_count), env=environment, cwd=PROJECT, stdout=PIPE,
        )
        for n in range(PROCESSES_COUNT)
    ]  # fmt: skip
    try:
        await asyncio.gather(*[writer.communicate() for writer in writers])
    finally:
        for writer in writers:
            if writer.returncode is None:
                writer.kill()
    assert [writer.returncode for writer in writers] == [0] * PROCESSES_COUNT


async def append_the_last(database_url: str) -> None:
    """What tells the readers that there is no more to come."""
    store = PostgresEventStore(database_url)
    await store.append(StockItem.open("the-last", "north", cause()).collect_events(), {})
    store.close()


async def read_pages(database_url: str, writing_ended: threading.Event) -> tuple[list[Seen], int]:
    """What it saw, and how many of that while the writers wrote."""
    seen: list[Seen] = []
    early_count = 0
    async with PostgresEventLog(database_url) as log:
        while not seen or seen[-1][1] != THE_LAST:
            page = await log.read(seen[-1][0] if seen else 0, PAGE_EVENTS)
            seen += [(one.position, one.event.originator_id, one.event.originator_version) for one in page]
            if not writing_ended.is_set():
                early_count = len(seen)
            if not page:
                await log.wait_for_append(PROMPT_SECONDS)
    return seen, early_count


def subscribe(
    recorder: BatchRecorder, writing_ended: threading.Event, patience_seconds: float
) -> tuple[list[Seen], int]:
    seen: list[Seen] = []
    early_count = 0
    with recorder.subscribe(gt=0) as subscription:
        impatience = threading.Timer(patience_seconds, subscription.stop)
        impatience.start()
        try:
            for notification in subscription:
                assert isinstance(notification.originator_id, UUID)
                seen.append((notification.id, notification.originator_id, notification.originator_version))
                if not writing_ended.is_set():
                    early_count = len(seen)
                if notification.originator_id == THE_LAST:
                    break
        finally:
            impatience.cancel()
    return seen, early_count


async def everything_stored(database_url: str) -> list[Seen]:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await connection.execute(
            "SELECT notification_id, originator_id, originator_version FROM log.stored_events ORDER BY notification_id"
        )
        return [(row[0], row[1], row[2]) for row in await rows.fetchall()]


def ensure_streams_whole(stored: list[Seen]) -> None:
    versions: Counter[UUID] = Counter()
    for _, stream_id, version in stored:
        versions[stream_id] += 1
        assert version == versions[stream_id], "in order, none missing"


def test_a_stream_that_is_not_whole_is_found() -> None:
    one = UUID(int=1)
    ensure_streams_whole([(1, one, 1), (5, one, 2)])
    for broken in ([(1, one, 2)], [(1, one, 1), (2, one, 3)], [(1, one, 1), (2, one, 1)]):
        with pytest.raises(AssertionError):
            ensure_streams_whole(broken)
