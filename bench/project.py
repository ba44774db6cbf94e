"""Events a second into the views: the embedded projector against SELECT, a worker on Kafka against bare aiokafka.

Per core: by the time that the process itself spent, not by the clock, for a worker's threads may run beside each other.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool

from bench.apart import Begin, run_apart
from bench.rebuild import write
from bench.report import Report
from bench.server import a_folder, database
from commandside.event_store.log import PostgresEventLog
from counterfoil.embedded import standalone
from counterfoil.processes.worker import open_worker
from ops.kafka import kafka_server
from projections.generations import VIEW_NAMES
from projections.valkey import open_redis
from streams.dead_letters import RedisDeadLetters
from streams.envelope import encode, encode_marker
from streams.metrics import ProjectorMetrics, WorkerMetrics
from streams.postgres_streams import PostgresStreams
from streams.projector import Projector
from streams.relay.kafka_topics import ensure_topics
from streams.topics import TOPIC_OF_KIND, TOPICS
from streams.view_feeds import TOPICS_OF_VIEWS, ViewFeeds

EVENTS_COUNT: Final = 100_000
EVENTS_PER_SECOND_COUNT: Final = EVENTS_COUNT // 3
BATCH_SIZE_EVENTS: Final = 1_000
PARTITIONS_COUNT: Final = 8
POLL_LIMIT_RECORDS: Final = 5_000
VALKEY_MEMORY_MB: Final = 2_000
IDLE_MILLISECONDS: Final = 2_000
POLL_SECONDS: Final = 0.02
FLUSH_TIMEOUT_SECONDS: Final = 60.0
SLACK_SECONDS: Final = 120.0
SELECT: Final = (
    "SELECT notification_id, originator_id, originator_version, topic, state FROM log.stored_events "
    "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"
)

Pace = tuple[int, float, float]
"""Events, seconds by the clock, and seconds that the process spent."""


def run(report: Report, server_url: str, seconds: float, rounds_count: int, events_count: int | None = None) -> None:
    events_count = events_count or min(EVENTS_COUNT, int(seconds * EVENTS_PER_SECOND_COUNT))
    with database(server_url) as url, a_folder() as folder, kafka_server(folder) as kafka:
        run_apart(write, url, events_count, timeout_seconds=SLACK_SECONDS)
        ((sent_count),) = run_apart(send, url, kafka.address, timeout_seconds=SLACK_SECONDS)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE log.stored_events")
        report.count("project.events", events_count)
        report.count("project.sent_events", sent_count)
        for number in range(rounds_count):
            _round(report, url, kafka.address, number)
    report.ratio("project.embedded_vs_select", _figure("embedded"), _figure("select"))
    report.ratio("project.embedded_vs_select_per_core", _per_core("embedded"), _per_core("select"))
    report.ratio("project.faust_vs_aiokafka", _per_core("faust"), _per_core("aiokafka"))


def _round(report: Report, url: str, kafka_url: str, number: int) -> None:
    with a_folder() as folder, standalone.valkey(folder / "valkey", VALKEY_MEMORY_MB) as redis_url:
        contenders: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = [
            ("embedded", embedded, (url, redis_url)),
            ("select", select, (url,)),
        ]
        for name, contend, arguments in contenders:
            _measure(report, name, contend, arguments)
    with a_folder() as folder, standalone.valkey(folder / "valkey", VALKEY_MEMORY_MB) as redis_url:
        _measure(report, "faust", faust, (url, redis_url, kafka_url, f"bench-{number}"))
        _measure(report, "aiokafka", bare_aiokafka, (kafka_url,))


def _measure(report: Report, name: str, contend: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    ((count, clock_seconds, spent_seconds),) = run_apart(contend, *arguments, timeout_seconds=SLACK_SECONDS)
    report.measure(_figure(name), count / clock_seconds)
    report.measure(_per_core(name), count / spent_seconds)
    report.count(f"project.{name}_events", count)


def embedded(_begin: Begin, _number: int, url: str, redis_url: str) -> Pace:
    async def measure() -> Pace:
        pool: Any = AsyncConnectionPool(url, min_size=0, max_size=1, open=False)
        registry = CollectorRegistry()
        async with (
            open_redis(redis_url, timeout_seconds=5) as client,
            PostgresEventLog(url, wanted=TOPICS_OF_VIEWS) as log,
            pool,
        ):
            last_position = await log.last_position()
            projector = Projector(
                log,
                [],
                RedisDeadLetters(client),
                ProjectorMetrics(registry),
                views=ViewFeeds(client, PostgresStreams(pool)),
                batch_size_events=BATCH_SIZE_EVENTS,
            )
            clock, spent = time.perf_counter(), time.process_time()
            running = asyncio.create_task(projector.run())
            await _until(lambda: min(projector.positions().values(), default=0) >= last_position, running)
            lasted = time.perf_counter() - clock, time.process_time() - spent
            await _end(running)
            return _taken(registry, "product"), *lasted

    return uvloop.run(measure())


def select(_begin: Begin, _number: int, url: str) -> Pace:
    """The same rows, and json.loads of what is in them."""

    async def measure() -> Pace:
        position, count = 0, 0
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            clock, spent = time.perf_counter(), time.process_time()
            while True:
                cursor = connection.cursor(binary=True)
                await cursor.execute(SELECT, (position, BATCH_SIZE_EVENTS), prepare=True)
                rows: list[tuple[Any, ...]] = await cursor.fetchall()
                if not rows:
                    return count, time.perf_counter() - clock, time.process_time() - spent
                for row in rows:
                    json.loads(row[4])
                count, position = count + len(rows), rows[-1][0]

    return uvloop.run(measure())


def faust(_begin: Begin, _number: int, url: str, redis_url: str, kafka_url: str, group: str) -> Pace:
    """From the first events that it has taken to the last: not what it takes to start and to join its group."""

    async def measure() -> Pace:
        registry = CollectorRegistry()
        metrics = WorkerMetrics(registry)
        async with (
            PostgresEventLog(url) as log,
            open_worker(url, redis_url, kafka_url, PARTITIONS_COUNT, metrics, group=group) as worker,
        ):
            last_position = await log.last_position()
            running = asyncio.create_task(worker.run())

            def taken() -> int:
                return sum(_taken(registry, view) for view in VIEW_NAMES)

            await _until(lambda: taken() > 0, running)
            before, clock, spent = taken(), time.perf_counter(), time.process_time()
            await _until(lambda: min(worker.positions().values()) >= last_position, running)
            pace = taken() - before, time.perf_counter() - clock, time.process_time() - spent
            await _end(running)
            return pace

    return uvloop.run(measure())


def bare_aiokafka(_begin: Begin, _number: int, kafka_url: str) -> Pace:
    """The same messages, and json.loads of each."""

    async def measure() -> Pace:
        topics = [TOPIC_OF_KIND[view] for view in VIEW_NAMES]
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=kafka_url,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=POLL_LIMIT_RECORDS,
        )
        await consumer.start()
        try:
            count, clock, spent = 0, time.perf_counter(), time.process_time()
            ended = clock, spent
            while fetched := await consumer.getmany(timeout_ms=IDLE_MILLISECONDS):
                for records in fetched.values():
                    for record in records:
                        json.loads(record.value)
                    count += len(records)
                ended = time.perf_counter(), time.process_time()
            return count, ended[0] - clock, ended[1] - spent
        finally:
            await consumer.stop()

    return uvloop.run(measure())


def send(_begin: Begin, _number: int, url: str, kafka_url: str) -> int:
    """The whole log, as the relay sends it. Returns how many messages the views' topics have."""

    async def fill() -> int:
        await ensure_topics(kafka_url, PARTITIONS_COUNT)
        producer = Producer(
            {"bootstrap.servers": kafka_url, "partitioner": "murmur2_random", "enable.idempotence": True}
        )
        position, count = 0, 0
        async with PostgresEventLog(url) as log:
            while rows := await log.read_rows(position, BATCH_SIZE_EVENTS):
                for envelope in filter(None, map(encode, rows)):
                    producer.produce(envelope.kafka_topic, key=envelope.key, value=envelope.value)
                    count += 1
                producer.flush(FLUSH_TIMEOUT_SECONDS)
                position = rows[-1][0]
        for topic in TOPICS:
            for partition in range(PARTITIONS_COUNT):
                producer.produce(topic, partition=partition, value=encode_marker(position))
        if producer.flush(FLUSH_TIMEOUT_SECONDS):
            raise TimeoutError("Kafka did not take the log")
        return count

    return uvloop.run(fill())


async def _until(reached: Callable[[], bool], running: asyncio.Task[None]) -> None:
    """Or until it has ended before."""
    async with asyncio.timeout(SLACK_SECONDS):
        while not reached() and not running.done():  # noqa: ASYNC110 (what it looks at tells nobody)
            await asyncio.sleep(POLL_SECONDS)


async def _end(running: asyncio.Task[None]) -> None:
    if running.done():
        running.result()
    running.cancel()
    await asyncio.wait([running], timeout=SLACK_SECONDS)


def _taken(registry: CollectorRegistry, view: str) -> int:
    return int(registry.get_sample_value("counterfoil_projection_events_total", {"projection": view}) or 0)


def _figure(name: str) -> str:
    return f"project.{name}_events_per_second"


def _per_core(name: str) -> str:
    return f"project.{name}_events_per_core_second"
