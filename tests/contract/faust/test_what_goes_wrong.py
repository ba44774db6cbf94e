"""A worker between a real Kafka and a real store, when something is not as it should be."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from projections.keys import Keys
from queryside.views import Views
from streams.dead_letters import RedisDeadLetters
from tests.contract.faust.shop import WITHIN_SECONDS, Shop
from tests.integration.readside.shop import (
    about_a_shipment_that_it_does_not_have,
    cause,
    collected,
    order,
    product,
    stock,
)
from tests.waiting import eventually

pytestmark = pytest.mark.long


async def test_what_cannot_be_applied_is_put_aside_and_the_rest_goes_on(shop: Shop) -> None:
    bad, good = order("customer:ada", 1), order("customer:ada", 2)
    await shop.happened(collected(bad, good))
    (poison_position,) = await shop.store.append([about_a_shipment_that_it_does_not_have(bad)], {})
    good.cancel(None, cause())
    rows = await shop.happened(collected(good))
    await shop.ready_worker()
    shop.topics.send_raw("order-events", b"no envelope")
    shop.relay(rows)
    await shop.until_all_hold(rows[-1][0])

    letters = RedisDeadLetters(shop.redis)
    letter, damaged = sorted(await letters.letters("order"), key=lambda letter: letter.message is not None)
    assert (damaged.is_of_a_stream, damaged.message) == (False, "no envelope")
    assert (letter.position, letter.stream_id, letter.reason) == (poison_position, bad.id, "KeyError: 's9'")
    assert set(await letters.streams_set_aside("order")) == {bad.id}
    stopped, went_on = await Views(shop.redis).orders([bad.order_id, good.order_id])
    assert stopped is not None
    assert went_on is not None
    assert (stopped.version, went_on.version) == (2, 3)
    sent = await _dead_letters(shop.kafka_url, {str(bad.id).encode(), b"whoever"})
    assert dict(sent[str(bad.id).encode()].headers)["reason"] == letter.reason.encode()
    assert b"shipment_packed" in (sent[str(bad.id).encode()].value or b"")
    assert sent[b"whoever"].value == b"no envelope"

    await letters.want_retry("order", bad.id)
    await eventually(lambda: letters.retries_wanted("order"), lambda wanted: wanted == set(), WITHIN_SECONDS)
    assert set(await letters.streams_set_aside("order")) == {bad.id}, "it is still what it was"


async def test_a_store_that_lost_everything_is_fed_again_by_the_next_process(shop: Shop) -> None:
    rows = await shop.happened(collected(product(), stock()))
    worker = await shop.ready_worker()
    shop.relay(rows)
    await shop.until_all_hold(rows[-1][0])
    await shop.redis.flushdb()
    assert worker.process.wait(WITHIN_SECONDS) == 1, "it ends, loudly, to be started anew"
    assert "lost what it held" in worker.log.read_text()
    shop.start_worker()
    await shop.until_all_hold(rows[-1][0])
    assert (await Views(shop.redis).products(["lamp"]))["lamp"].availability.quantity == 10
    offsets = Keys().offsets("product")
    await eventually(lambda: shop.redis.hlen(offsets), lambda partitions_count: partitions_count > 0, WITHIN_SECONDS)


async def _dead_letters(kafka: str, keys: set[bytes]) -> dict[bytes | None, ConsumerRecord]:
    """By key. One may be there more than once: what cannot be read is no use to the sales, either."""
    consumer = AIOKafkaConsumer("order-events-dead-letters", bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[bytes | None, ConsumerRecord] = {}

    async def ask() -> dict[bytes | None, ConsumerRecord]:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found.update({record.key: record for record in records})
        return found

    try:
        return await eventually(ask, lambda found: found.keys() >= keys, WITHIN_SECONDS)
    finally:
        await consumer.stop()
