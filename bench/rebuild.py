"""Events a second from the log into a new generation of every view in Valkey, checked and swapped in."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Final
from uuid import UUID, uuid5

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from bench.apart import Begin, run_apart
from bench.history import day
from bench.report import Report
from bench.server import a_folder, database
from commandside.event_store.mapper import EventMapper
from counterfoil import log_tool
from counterfoil.embedded import standalone
from domain.events import AnyEvent
from domain.identity import product_stream, stock_stream
from projections.generations import VIEW_NAMES, ViewName
from projections.keys import Keys
from projections.valkey import open_redis
from streams.log_pages import LogPages
from streams.postgres_streams import PostgresStreams
from streams.rebuild import Bounds, Rebuild
from streams.verify import Verification
from streams.view_feeds import VIEWS

EVENTS_COUNT: Final = 1_000_000
# So many events take about three seconds of a round, and the default of three seconds all of them.
EVENTS_PER_SECOND_COUNT: Final = EVENTS_COUNT // 3
VALKEY_MEMORY_MB: Final = 6_000
BATCH_SIZE_EVENTS: Final = 5_000
SLACK_SECONDS: Final = 600.0
SELECT: Final = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
    "WHERE notification_id > %s AND topic = ANY(%s) ORDER BY notification_id LIMIT %s"
)
TOPICS: Final = {name: LogPages(None, VIEWS[name](Keys()).event_types).topics for name in VIEW_NAMES}  # type: ignore[arg-type]


def run(report: Report, server_url: str, seconds: float, rounds_count: int, events_count: int | None = None) -> None:
    events_count = events_count or min(EVENTS_COUNT, int(seconds * EVENTS_PER_SECOND_COUNT))
    with database(server_url) as url:
        run_apart(write, url, events_count, timeout_seconds=SLACK_SECONDS)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE log.stored_events")
        report.count("rebuild.events", events_count)
        for _ in range(rounds_count):
            _round(report, url)
    report.ratio("rebuild.vs_select", "rebuild.ours_events_per_second", "rebuild.select_events_per_second")


def _round(report: Report, url: str) -> None:
    with a_folder() as folder, standalone.valkey(folder / "valkey", VALKEY_MEMORY_MB) as redis_url:
        wanted_count, lasted_seconds = 0, 0.0
        for view in VIEW_NAMES:
            ((events, seconds, memory_mb, differences),) = run_apart(
                ours, url, redis_url, view, timeout_seconds=SLACK_SECONDS
            )
            wanted_count, lasted_seconds = wanted_count + events, lasted_seconds + seconds
            report.measure(f"rebuild.{view}_events_per_second", events / seconds)
            report.measure("rebuild.memory_megabytes", memory_mb)
            report.count("rebuild.differences", differences)
    report.measure("rebuild.ours_events_per_second", wanted_count / lasted_seconds)
    report.count("rebuild.ours_events", wanted_count)
    ((selected_count, seconds),) = run_apart(select, url, timeout_seconds=SLACK_SECONDS)
    report.measure("rebuild.select_events_per_second", selected_count / seconds)
    report.count("rebuild.select_events", selected_count)


def ours(_begin: Begin, _number: int, url: str, redis_url: str, view: ViewName) -> tuple[int, float, float, int]:
    """Events of the view, seconds until it was live, the process's largest memory, and differences from the log."""

    async def measure() -> tuple[int, float, float, int]:
        pool: Any = AsyncConnectionPool(url, kwargs={"autocommit": True}, min_size=1, max_size=4, open=False)
        async with open_redis(redis_url, timeout_seconds=30) as client, pool:
            log = LogPages(pool, VIEWS[view](Keys()).event_types)
            rebuild = Rebuild(
                view, client, log, PostgresStreams(pool), _Quiet(), lambda: False, Bounds(nobody_feeds_seconds=0)
            )
            began = time.perf_counter()
            await rebuild.run()
            lasted_seconds = time.perf_counter() - began
            memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
            return await _events(pool, view), lasted_seconds, memory_mb, await _differences(client, view, log)

    return log_tool.run(measure())  # as `counterfoil rebuild` does


async def _events(pool: Any, view: ViewName) -> int:
    async with pool.connection() as connection:
        query = "SELECT count(*) FROM log.stored_events WHERE topic = ANY(%s)"
        (number,) = await (await connection.execute(query, (TOPICS[view],))).fetchone()
        return int(number)


async def _differences(client: Redis, view: ViewName, log: LogPages) -> int:
    return len([found async for found in Verification(view, client, log).differences()])


def select(_begin: Begin, _number: int, url: str) -> tuple[int, float]:
    """The same rows, each once, and json.loads of what is in them."""

    async def measure() -> tuple[int, float]:
        topics, position, number = [topic for names in TOPICS.values() for topic in names], 0, 0
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            began = time.perf_counter()
            while True:
                cursor = connection.cursor(binary=True)
                await cursor.execute(SELECT, (position, topics, BATCH_SIZE_EVENTS), prepare=True)
                rows: list[tuple[Any, ...]] = await cursor.fetchall()
                if not rows:
                    return number, time.perf_counter() - began
                for row in rows:
                    json.loads(row[4])
                number, position = number + len(rows), rows[-1][0]

    return uvloop.run(measure())


def write(_begin: Begin, _number: int, url: str, events_count: int) -> None:
    """Straight into the table: what an append costs, another benchmark tells."""
    mapper = EventMapper()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        copying = "COPY log.stored_events (originator_id, originator_version, topic, state) FROM STDIN (FORMAT BINARY)"
        with cursor.copy(copying.encode()) as copy:
            copy.set_types(["uuid", "bigint", "text", "bytea"])
            for event in islice(_days(), events_count):
                stored = mapper.to_stored_event(event)
                copy.write_row((stored.originator_id, stored.originator_version, stored.topic, stored.state))


def _days() -> Iterator[AnyEvent]:
    """One day over and over, each time with products, customers and streams of its own."""
    events = day()
    for number in count():
        for event in events:
            yield _moved(event, number)


def _moved(event: AnyEvent, number: int) -> AnyEvent:
    members: dict[str, Any] = dict(vars(event))
    stream_id: UUID = uuid5(members["originator_id"], str(number))
    if "owner" in members:
        members["owner"] = f"{members['owner']}-{number}"
    if "sku" in members:
        sku = members["sku"] = f"{members['sku']}-{number}"
        if event.TOPIC.startswith("product."):
            stream_id = product_stream(sku)
        elif event.TOPIC.startswith("stock."):
            stream_id = stock_stream(sku, members["warehouse_id"])
    members["originator_id"] = stream_id
    moved: Any = object.__new__(type(event))
    moved.__dict__.update(members)
    return moved  # type: ignore[no-any-return]


class _Quiet:
    def begin(self, what: str, total: int) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        pass

    def say(self, text: str) -> None:
        pass
