"""Events a second from the log to objects: the whole log, in batches, as a projection reads it when it is rebuilt."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
import uvloop

from bench.apart import Begin, run_apart
from bench.history import history
from bench.references import library_replay
from bench.report import Report
from bench.server import database
from commandside.event_store.log import PostgresEventLog
from commandside.event_store.postgres import PostgresEventStore

EVENTS_COUNT: Final = 20_000
BATCH_SIZE_EVENTS: Final = 500  # the projector's
SLACK_SECONDS: Final = 120.0
SELECT: Final = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
    "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
)


def run(report: Report, server_url: str, seconds: float, rounds_count: int, events_count: int = EVENTS_COUNT) -> None:
    with database(server_url) as url:
        run_apart(write, url, events_count, timeout_seconds=SLACK_SECONDS)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        report.count("replay.events", events_count)
        for _ in range(rounds_count):
            for name, contend in (("ours", ours), ("library", library_replay.contend), ("select", select)):
                ((count, lasted_seconds),) = run_apart(
                    contend, url, BATCH_SIZE_EVENTS, seconds, timeout_seconds=seconds * 2 + SLACK_SECONDS
                )
                if count % events_count != 0:
                    raise AssertionError(f"{name} read {count} events of a log of {events_count}")
                report.measure(_figure(name), count / lasted_seconds)
                report.count(f"replay.{name}_events", count)
    for reference in ("library", "select"):
        report.ratio(f"replay.vs_{reference}", _figure("ours"), _figure(reference))


def write(_begin: Begin, _number: int, url: str, events_count: int) -> None:
    """The same events for both: ours as we store them, the library's as it does."""
    events = list(history(events_count))

    async def append() -> None:
        store = PostgresEventStore(url)
        try:
            for first in range(0, events_count, BATCH_SIZE_EVENTS):
                await store.append(events[first : first + BATCH_SIZE_EVENTS], {})
        finally:
            store.close()

    uvloop.run(append())
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE SCHEMA {library_replay.SCHEMA}".encode())
    library_replay.store(url, events, BATCH_SIZE_EVENTS)


def ours(_begin: Begin, _number: int, url: str, batch_size_events: int, seconds: float) -> tuple[int, float]:
    async def measure() -> tuple[int, float]:
        async with PostgresEventLog(url) as log:

            async def replay() -> int:
                position, count = 0, 0
                while batch := await log.read(position, batch_size_events):
                    count += len(batch)
                    position = batch[-1].position
                return count

            return await _repeated(replay, seconds)

    return uvloop.run(measure())


def select(_begin: Begin, _number: int, url: str, batch_size_events: int, seconds: float) -> tuple[int, float]:
    """The same rows as our reader gets them, and nothing made of them."""

    async def measure() -> tuple[int, float]:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

            async def replay() -> int:
                position, count = 0, 0
                while True:
                    cursor = connection.cursor(binary=True)
                    await cursor.execute(SELECT, (position, batch_size_events), prepare=True)
                    rows: list[tuple[Any, ...]] = await cursor.fetchall()
                    if not rows:
                        return count
                    count += len(rows)
                    position = rows[-1][0]

            return await _repeated(replay, seconds)

    return uvloop.run(measure())


async def _repeated(replay: Callable[[], Awaitable[int]], seconds: float) -> tuple[int, float]:
    """Once to warm up, then again until the time is over."""
    await replay()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        count += await replay()
    return count, time.perf_counter() - began


def _figure(name: str) -> str:
    return f"replay.{name}_events_per_second"
