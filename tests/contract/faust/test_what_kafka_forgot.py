"""Kafka remembers for some days, the log for ever: a view is never taken for whole that is made of the rest alone."""

from __future__ import annotations

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from projections.generations import VIEW_NAMES
from projections.keys import Keys
from queryside.views import Views
from streams.relay.kafka_topics import ensure_topics
from streams.topics import TOPICS
from tests.contract.faust.busy_shop import events
from tests.contract.faust.conftest import StartWorker
from tests.contract.faust.kafka_log import PARTITIONS_COUNT, KafkaLog, envelopes
from tests.contract.faust.test_the_same_views import (
    WITHIN_SECONDS,
    all_rows,
    append,
    embedded,
    until_all_hold,
    views,
)
from tests.waiting import eventually

ADMIN_TIMEOUT_SECONDS = 30
TO_THE_END = -1


def forget(kafka_url: str, up_to_offset: int = TO_THE_END) -> None:
    """As retention does it, in every partition."""
    admin = AdminClient({"bootstrap.servers": kafka_url})
    places = [TopicPartition(topic, n, up_to_offset) for topic in TOPICS for n in range(PARTITIONS_COUNT)]
    for deletion in admin.delete_records(places).values():
        deletion.result(ADMIN_TIMEOUT_SECONDS)


async def test_a_first_worker_comes_after_kafka_has_forgotten_the_beginning(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> None:
    await append(event_store, events(seed=4))
    rows = await all_rows(database_url)
    await ensure_topics(kafka, PARTITIONS_COUNT)
    log = KafkaLog(kafka)
    log.send(envelopes(rows[:-100]))
    log.mark(rows[-101][0])
    forget(kafka)
    log.send(envelopes(rows[-100:]))
    log.mark(rows[-1][0])
    worker = start_worker()
    await until_all_hold(redis_client, rows[-1][0])
    assert await views(redis_client) == await embedded(database_url, redis_url, redis_client)
    assert "kafka_does_not_reach_back" in worker.log.read_text()


async def test_a_topic_that_was_made_anew_behind_a_relay_that_goes_on(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> None:
    """Its partitions begin at offset 0, and what is there is not the beginning all the same."""
    await append(event_store, events(seed=5))
    rows = await all_rows(database_url)
    await ensure_topics(kafka, PARTITIONS_COUNT)
    log = KafkaLog(kafka)
    log.mark(rows[-1][0])
    start_worker()
    await until_all_hold(redis_client, rows[-1][0])
    assert await views(redis_client) == await embedded(database_url, redis_url, redis_client)


async def test_a_worker_was_away_for_longer_than_kafka_remembers(
    database_url: str,
    redis_url: str,
    redis_client: Redis,
    event_store: PostgresEventStore,
    kafka: str,
    start_worker: StartWorker,
) -> None:
    happened = events(seed=6)
    await append(event_store, happened[: len(happened) // 2])
    first_half = await all_rows(database_url)
    worker, log = start_worker(), KafkaLog(kafka)
    await eventually(worker.is_ready, bool, WITHIN_SECONDS)
    log.send(envelopes(first_half))
    log.mark(first_half[-1][0])
    await until_all_hold(redis_client, first_half[-1][0])
    for view in VIEW_NAMES:
        await eventually(
            lambda view=view: redis_client.hlen(Keys().offsets(view)),  # type: ignore[misc]
            lambda count: count == PARTITIONS_COUNT,
            WITHIN_SECONDS,
        )
    worker.process.kill()
    worker.process.wait(WITHIN_SECONDS)
    await append(event_store, happened[len(happened) // 2 :])
    rows = await all_rows(database_url)
    log.send(envelopes(rows[len(first_half) :]))
    forget(kafka)
    held = min(await Views(redis_client).positions(VIEW_NAMES))
    log.mark(rows[-1][0])
    start_worker()
    await until_all_hold(redis_client, rows[-1][0])
    assert held < rows[-1][0]
    assert await views(redis_client) == await embedded(database_url, redis_url, redis_client)
