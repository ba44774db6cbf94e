"""The same log gives the same bytes, whether it is followed in one process or comes through Kafka to many."""

from __future__ import annotations

import asyncio
import signal
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from commandside.event_store.log import PostgresEventLog
from commandside.event_store.mapper import Row
from commandside.event_store.postgres import PostgresEventStore
from counterfoil.processes.projector import open_projector
from domain.events import AnyEvent
from projections.generations import VIEW_NAMES
from projections.keys import Keys
from projections.signals import keys as signal_keys
from queryside.views import Views
from streams.metrics import ProjectorMetrics
from streams.signals.sales_projection import NAME as SALES
from tests.contract.faust.busy_shop import events
from tests.contract.faust.conftest import StartWorker
from tests.contract.faust.kafka_log import PARTITIONS_COUNT, KafkaLog, envelopes
from tests.fixtures.redis_contents import contents
from tests.waiting import eventually

WITHIN_SECONDS = 90
BATCH_SIZE_EVENTS = 200
KINDS = (b":product:", b":stock:", b":cart:", b":order:", b":orders:")


async def test_in_order_in_one_worker(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> None:
    await append(event_store, events(seed=1))
    rows = await all_rows(database_url)
    log = KafkaLog(kafka)
    worker = start_worker()
    await eventually(worker.is_ready, bool, WITHIN_SECONDS)
    log.send(envelopes(rows))
    log.mark(rows[-1][0])
    await until_all_hold(redis_client, rows[-1][0])
    partitions = await redis_client.hgetall(Keys().checkpoint("order"))
    assert len(partitions) == PARTITIONS_COUNT, "every partition counts, also those that nothing was sent to"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(30) in (0, -signal.SIGTERM), worker.log.read_text()[-3_000:]
    assert await views(redis_client) == await embedded(database_url, redis_url, redis_client)


async def test_with_two_workers_of_which_one_is_killed_duplicates_losses_and_disorder(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> None:
    await append(event_store, events(seed=2))
    rows = await all_rows(database_url)
    last_of_stream = {row[1]: row[0] for row in rows}
    random, log = Random(2), KafkaLog(kafka)  # noqa: S311 (the same every time)
    first = start_worker()
    await eventually(first.is_ready, bool, WITHIN_SECONDS)
    parts = [rows[begin::4] for begin in range(4)]  # of every stream a quarter: later events come before earlier ones
    log.send(envelopes(parts[3]))
    second = start_worker()  # the partitions are dealt out anew while the next part is on its way
    log.send(envelopes(parts[1]))
    await eventually(second.is_ready, bool, WITHIN_SECONDS)
    log.send(envelopes(parts[1][: len(parts[1]) // 2]))
    first.process.kill()
    kept = [row for row in parts[0] + parts[2] if last_of_stream[row[1]] == row[0] or random.random() < 0.8]
    random.shuffle(kept)
    log.send(envelopes(kept))
    log.send(envelopes([row for row in rows if last_of_stream[row[1]] == row[0]]))
    log.mark(rows[-1][0])
    await until_all_hold(redis_client, rows[-1][0])
    assert await views(redis_client) == await embedded(database_url, redis_url, redis_client)


async def test_a_shop_that_went_over_from_one_process_to_workers(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> None:
    """What the views hold already is not taken back: their position never falls."""
    happened = events(seed=3)
    await append(event_store, happened[: len(happened) // 2])
    await embedded(database_url, redis_url, redis_client)
    held = min(await Views(redis_client).positions(VIEW_NAMES))
    assert held > 0
    worker = start_worker()
    await eventually(worker.is_ready, bool, WITHIN_SECONDS)
    assert min(await Views(redis_client).positions(VIEW_NAMES)) >= held
    await append(event_store, happened[len(happened) // 2 :])
    rows = await all_rows(database_url)
    log = KafkaLog(kafka)
    log.send(envelopes(rows))
    log.mark(rows[-1][0])
    await until_all_hold(redis_client, rows[-1][0])
    assert await views(redis_client) == await embedded(database_url, redis_url, redis_client)


async def append(store: PostgresEventStore, happened: list[AnyEvent]) -> None:
    for begin in range(0, len(happened), BATCH_SIZE_EVENTS):
        await store.append(happened[begin : begin + BATCH_SIZE_EVENTS], {})


async def all_rows(database_url: str) -> list[Row]:
    async with PostgresEventLog(database_url) as log:
        rows = await log.read_rows(0, 100_000)
        assert rows
        return rows


async def until_all_hold(client: Redis, position: int) -> None:
    """The views, and the counters of sales."""

    async def held() -> list[int]:
        counted: Any = await client.hvals(Keys().checkpoint(SALES))
        return [*await Views(client).positions(VIEW_NAMES), min(map(int, counted), default=0)]

    await eventually(held, lambda held: min(held) >= position, WITHIN_SECONDS)


async def views(client: Redis) -> dict[bytes, Any]:
    """And the counters, which have no generations."""
    held = await contents(client, Keys().prefix)
    counters = await contents(client, signal_keys.PREFIX)
    assert any(key.startswith(b":counted:") for key in counters)
    return {key: value for key, value in held.items() if key.startswith(KINDS)} | counters


async def embedded(database_url: str, redis_url: str, client: Redis) -> dict[bytes, Any]:
    """What the projector makes of the log in the same store, emptied before."""
    await client.flushdb()
    async with (
        PostgresEventLog(database_url) as log,
        open_projector(database_url, redis_url, ProjectorMetrics(CollectorRegistry())) as projector,
    ):
        last_position = await log.last_position()
        running = asyncio.create_task(projector.run())
        await until_all_hold(client, last_position)
        running.cancel()
        await asyncio.wait([running], timeout=10)
    return await views(client)
