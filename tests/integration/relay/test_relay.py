"""What is in the log comes into Kafka: all of it, once, in order, where every client of Kafka looks for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest
from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from commandside.event_store.postgres import PostgresEventStore
from domain.events import EVENT_TYPES
from ops.server import Server
from streams.feeder import CannotGoOn
from streams.relay.kafka_topics import RETENTION_MILLISECONDS, ensure_topics
from streams.topics import TOPICS, kafka_topic
from tests.history.write_golden import sample
from tests.integration.relay.kafka_contents import (
    PARTITIONS_COUNT,
    Place,
    contents,
    ends,
    ensure_all_there_in_order,
    to_be_sent,
)
from tests.integration.relay.relays import (
    UNHURRIED,
    checkpoint,
    last_position,
    patiently,
    running,
    told,
    until_all_is_relayed,
    until_relayed,
    writers,
)

EVERY_PLACE = {(topic, n) for topic in TOPICS for n in range(PARTITIONS_COUNT)}
ADMIN_TIMEOUT_SECONDS = 30


async def append_one_of_each(database_url: str) -> None:
    """An event of every type there is, each in a stream of its own."""
    store = PostgresEventStore(database_url)
    await store.append([replace(sample(kind), originator_id=uuid4()) for kind in EVENT_TYPES.values()], {})
    store.close()


def markers_of_every_place(kafka: Server, since: dict[Place, int], position: int) -> bool:
    markers = contents(kafka.address, since).last_markers()
    return markers == dict.fromkeys(EVERY_PLACE, position)


async def test_nothing_is_missed_repeated_or_out_of_order_at_the_heels_of_sixteen_writers(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    async with running(database_url, kafka, **UNHURRIED) as relay:
        async with writers(database_url, 160) as busy:
            await busy.end()
        await until_all_is_relayed(database_url)
        assert relay.positions() == {"relay": last_position(database_url)}
        assert relay.troubles() == {}

    found = contents(kafka.address, since)
    assert len(found.events()) > 5_000
    assert ensure_all_there_in_order(found, database_url) == 0, "some came again"


async def test_every_type_goes_to_its_topic_and_to_the_partition_of_its_key(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    await append_one_of_each(database_url)

    async with running(database_url, kafka, **UNHURRIED):
        await until_all_is_relayed(database_url)

    found = contents(kafka.address, since)
    assert ensure_all_there_in_order(found, database_url) == 0
    assert len(found.events()) == sum(kafka_topic(event_type) is not None for event_type in EVENT_TYPES)
    partitions = list(range(PARTITIONS_COUNT))
    as_aiokafka_does = DefaultPartitioner()
    for (topic, n), keys in found.keys.items():
        assert {as_aiokafka_does(key, partitions, partitions) for key in keys} == {n}, topic
    assert len({n for _, n in found.keys}) > 2


async def test_every_partition_is_told_how_far_the_relay_is_and_nothing_while_nothing_happens(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    async with running(database_url, kafka, **UNHURRIED):
        await append_one_of_each(database_url)
        end = last_position(database_url)
        everywhere = partial(asyncio.to_thread, markers_of_every_place, kafka, since, end)
        await patiently(everywhere, bool)
        quiet_from = ends(kafka.address)
        await asyncio.sleep(1)  # twice the poll of the log
        assert ends(kafka.address) == quiet_from


async def test_who_takes_over_tells_every_partition_at_once_how_far_it_is(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    """The one before may have died behind an event and before its marker."""
    await append_one_of_each(database_url)
    async with running(database_url, kafka, **UNHURRIED):
        await until_all_is_relayed(database_url)
    since = ends(kafka.address)

    async with running(database_url, kafka, **UNHURRIED):
        told = partial(asyncio.to_thread, markers_of_every_place, kafka, since, last_position(database_url))
        await patiently(told, bool)

    assert contents(kafka.address, since).events() == []


@pytest.mark.long
async def test_after_a_stop_on_purpose_nothing_is_sent_twice(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    async with writers(database_url, 160) as busy:
        while busy.are_writing:
            before = checkpoint(database_url)[1]
            async with running(database_url, kafka, **UNHURRIED):
                await until_relayed(database_url, min(before + 500, last_position(database_url)))
        await busy.end()
    async with running(database_url, kafka, **UNHURRIED):
        await until_all_is_relayed(database_url)

    assert checkpoint(database_url)[0] > 1
    assert ensure_all_there_in_order(contents(kafka.address, since), database_url) == 0


async def test_topics_are_made_and_another_shape_is_refused(kafka: Server) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.address})
    await ensure_topics(kafka.address, PARTITIONS_COUNT)
    await ensure_topics(kafka.address, PARTITIONS_COUNT)
    there = admin.list_topics(timeout=ADMIN_TIMEOUT_SECONDS).topics
    assert {topic: len(there[topic].partitions) for topic in TOPICS} == dict.fromkeys(TOPICS, PARTITIONS_COUNT)

    with pytest.raises(CannotGoOn, match=r"COUNTERFOIL_KAFKA_PARTITIONS=3: {'catalog-events': 8"):
        await ensure_topics(kafka.address, 3)


async def test_how_long_a_topic_remembers_is_said_when_it_is_made(kafka: Server) -> None:
    await ensure_topics(kafka.address, PARTITIONS_COUNT)
    topic = ConfigResource(ConfigResource.Type.TOPIC, "order-events")
    admin = AdminClient({"bootstrap.servers": kafka.address})
    (answer,) = admin.describe_configs([topic]).values()
    entries = await asyncio.to_thread(answer.result, ADMIN_TIMEOUT_SECONDS)
    said = {name: entries[name] for name in ("cleanup.policy", "retention.ms", "retention.bytes")}
    assert {name: entry.value for name, entry in said.items()} == {
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_MILLISECONDS),
        "retention.bytes": "-1",
    }
    assert {name for name, entry in said.items() if entry.is_default} == set(), "and not what a broker happens to have"


async def test_a_topic_that_is_too_small_for_a_message_is_reported_and_nothing_is_skipped(
    database_url: str, kafka: Server, since: dict[Place, int]
) -> None:
    assert to_be_sent(database_url) == {}
    await ensure_topics(kafka.address, PARTITIONS_COUNT)
    await append_one_of_each(database_url)
    await set_message_limit(kafka, 100)
    try:
        async with running(database_url, kafka, **UNHURRIED) as relay:
            await patiently(told(relay.troubles), lambda troubles: "kafka" in troubles)
            assert checkpoint(database_url)[1] == 0
            await set_message_limit(kafka, 1_000_000)
            await until_all_is_relayed(database_url)
            await patiently(told(relay.troubles), lambda troubles: troubles == {})
    finally:
        await set_message_limit(kafka, 1_000_000)
    ensure_all_there_in_order(contents(kafka.address, since), database_url)


async def set_message_limit(kafka: Server, limit_bytes: int) -> None:
    """Of the orders' topic."""
    entry = ConfigEntry("max.message.bytes", str(limit_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, "order-events", incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.address})
    for changed in admin.incremental_alter_configs([resource]).values():
        await asyncio.to_thread(changed.result, ADMIN_TIMEOUT_SECONDS)
