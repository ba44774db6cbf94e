"""A worker between a real Kafka and a real store, when something is not as it should be."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from redis.asyncio import Redis

from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import Order
from domain.events.order import ShipmentPacked
from projections.keys import Keys
from queryside.views import Views
from streams.dead_letters import RedisDeadLetters
from tests.contract.faust.conftest import StartWorker
from tests.contract.faust.kafka_log import KafkaLog, envelopes
from tests.contract.faust.test_the_same_views import WITHIN_SECONDS, all_rows, until_all_hold
from tests.integration.readside.shop import cause, collected, order, product, stock
from tests.waiting import eventually


async def test_what_cannot_be_applied_is_put_aside_and_the_rest_goes_on(
    database_url: str, redis_client: Redis, event_store: PostgresEventStore, kafka: str, start_worker: StartWorker
) -> None:
    bad, good = order("customer:ada", 1), order("customer:ada", 2)
    await event_store.append(collected(bad, good), {})
    (poison_position,) = await event_store.append([_about_a_shipment_that_it_does_not_have(bad)], {})
    good.cancel(None, cause())
    await event_store.append(collected(good), {})
    rows = await all_rows(database_url)
    worker, log = start_worker(), KafkaLog(kafka)
    await eventually(worker.is_ready, bool, WITHIN_SECONDS)
    log.send_raw("order-events", b"no envelope")
    log.send(envelopes(rows))
    log.mark(rows[-1][0])
    await until_all_hold(redis_client, rows[-1][0])

    letters = RedisDeadLetters(redis_client)
    letter, damaged = sorted(await letters.letters("order"), key=lambda letter: letter.message is not None)
    assert (damaged.is_of_a_stream, damaged.message) == (False, "no envelope")
    assert (letter.position, letter.stream_id, letter.reason) == (poison_position, bad.id, "KeyError: 's9'")
    assert set(await letters.streams_set_aside("order")) == {bad.id}
    stopped, went_on = await Views(redis_client).orders([bad.order_id, good.order_id])
    assert stopped is not None
    assert went_on is not None
    assert (stopped.version, went_on.version) == (2, 3)
    sent = {dict(record.headers)["reason"]: record for record in await _dead_letters(kafka, count=2)}
    assert sent[b"KeyError: 's9'"].key == str(bad.id).encode()
    assert b"shipment_packed" in sent[b"KeyError: 's9'"].value
    assert {record.value for record in sent.values()} >= {b"no envelope"}

    await letters.want_retry("order", bad.id)
    await eventually(lambda: letters.retries_wanted("order"), lambda wanted: wanted == set(), WITHIN_SECONDS)
    assert set(await letters.streams_set_aside("order")) == {bad.id}, "it is still what it was"


async def test_a_store_that_lost_everything_is_fed_again_by_the_next_process(
    database_url: str, redis_client: Redis, event_store: PostgresEventStore, kafka: str, start_worker: StartWorker
) -> None:
    await event_store.append(collected(product(), stock()), {})
    rows = await all_rows(database_url)
    worker, log = start_worker(), KafkaLog(kafka)
    log_all = partial(log.send, envelopes(rows))
    await eventually(worker.is_ready, bool, WITHIN_SECONDS)
    log_all()
    log.mark(rows[-1][0])
    await until_all_hold(redis_client, rows[-1][0])
    await redis_client.flushdb()
    assert worker.process.wait(WITHIN_SECONDS) == 1, "it ends, loudly, to be started anew"
    assert "lost what it held" in worker.log.read_text()
    start_worker()
    await until_all_hold(redis_client, rows[-1][0])
    assert (await Views(redis_client).products(["lamp"]))["lamp"].availability.quantity == 10
    offsets = Keys().offsets("product")
    await eventually(lambda: redis_client.hlen(offsets), lambda partitions_count: partitions_count > 0, WITHIN_SECONDS)


def _about_a_shipment_that_it_does_not_have(bad: Order) -> ShipmentPacked:
    return ShipmentPacked(
        originator_id=UUID(str(bad.id)),
        originator_version=bad.version + 1,
        timestamp=cause().at,
        actor="operator:bo",
        causation_id="command-1",
        correlation_id="conversation-1",
        shipment_id="s9",
    )


async def _dead_letters(kafka: str, count: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer("order-events-dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: list[ConsumerRecord] = []

    async def ask() -> list[ConsumerRecord]:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found.extend(records)
        return found

    try:
        return await eventually(ask, lambda records: len(records) >= count, WITHIN_SECONDS)
    finally:
        await consumer.stop()
