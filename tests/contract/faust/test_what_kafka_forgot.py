"""Kafka remembers for some days, the log for ever: a view is never taken for whole that is made of the rest alone."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from projections.generations import VIEW_NAMES
from projections.keys import Keys
from streams.relay.kafka_topics import ensure_topics
from streams.topics import TOPICS
from tests.contract.faust.busy_shop import events
from tests.contract.faust.kafka_log import PARTITIONS_COUNT, envelopes
from tests.contract.faust.shop import WITHIN_SECONDS, Shop
from tests.waiting import eventually

pytestmark = pytest.mark.long
ADMIN_TIMEOUT_SECONDS = 30
TO_THE_END = -1


def forget(kafka_url: str, up_to_offset: int = TO_THE_END) -> None:
    """As retention does it, in every partition."""
    admin = AdminClient({"bootstrap.servers": kafka_url})
    places = [TopicPartition(topic, n, up_to_offset) for topic in TOPICS for n in range(PARTITIONS_COUNT)]
    for deletion in admin.delete_records(places).values():
        deletion.result(ADMIN_TIMEOUT_SECONDS)


async def test_a_first_worker_comes_after_kafka_has_forgotten_the_beginning(shop: Shop) -> None:
    rows = await shop.happened(events(seed=4))
    await ensure_topics(shop.kafka_url, PARTITIONS_COUNT)
    shop.relay(rows[:-100])
    forget(shop.kafka_url)
    shop.relay(rows[-100:])
    worker = shop.start_worker()
    await shop.until_all_hold(rows[-1][0])
    assert await shop.views() == await shop.embedded()
    assert "kafka_does_not_reach_back" in worker.log.read_text()


async def test_a_topic_that_was_made_anew_behind_a_relay_that_goes_on(shop: Shop) -> None:
    """Its partitions begin at offset 0, and what is there is not the beginning all the same."""
    rows = await shop.happened(events(seed=5))
    await ensure_topics(shop.kafka_url, PARTITIONS_COUNT)
    shop.topics.mark(rows[-1][0])
    shop.start_worker()
    await shop.until_all_hold(rows[-1][0])
    assert await shop.views() == await shop.embedded()


async def test_a_worker_was_away_for_longer_than_kafka_remembers(shop: Shop) -> None:
    happened = events(seed=6)
    first_half = await shop.happened(happened[: len(happened) // 2])
    worker = await shop.ready_worker()
    shop.relay(first_half)
    await shop.until_all_hold(first_half[-1][0])
    for view in VIEW_NAMES:
        await eventually(
            lambda view=view: shop.redis.hlen(Keys().offsets(view)),  # type: ignore[misc]
            lambda count: count == PARTITIONS_COUNT,
            WITHIN_SECONDS,
        )
    worker.process.kill()
    worker.process.wait(WITHIN_SECONDS)
    rows = await shop.happened(happened[len(happened) // 2 :])
    shop.topics.send(envelopes(rows[len(first_half) :]))
    forget(shop.kafka_url)
    held = await shop.held_position()
    shop.topics.mark(rows[-1][0])
    shop.start_worker()
    await shop.until_all_hold(rows[-1][0])
    assert held < rows[-1][0]
    assert await shop.views() == await shop.embedded()
