"""Kafka as the tests have it: it takes, gives and keeps messages."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.server import Server

pytestmark = pytest.mark.long
TIMEOUT_SECONDS = 60


def a_topic(address: str) -> str:
    """A new one of two partitions."""
    name = f"test-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(name, num_partitions=2)])[name].result(TIMEOUT_SECONDS)
    return name


def produce(address: str, topic: str, values: list[bytes]) -> None:
    """Durable when it returns."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "acks": "all"})
    for value in values:
        producer.produce(topic, value, key=value, on_delivery=delivered)
    assert producer.flush(TIMEOUT_SECONDS) == 0
    assert failed == []


async def consume(address: str, topic: str, count: int) -> list[bytes]:
    """The first `count` messages, sorted, as a member of a new group."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, group_id=f"test-{uuid.uuid4().hex}", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return sorted([bytes((await consumer.getone()).value or b"") for _ in range(count)])
    finally:
        await consumer.stop()


async def test_what_one_client_sends_another_gets(kafka_url: str) -> None:
    topic = a_topic(kafka_url)
    values = [b"a", b"b", b"c", b"d"]

    produce(kafka_url, topic, values)

    assert await consume(kafka_url, topic, len(values)) == values


async def test_a_killed_one_has_its_messages_when_it_is_back(own_kafka: Server) -> None:
    address = own_kafka.address
    topic = a_topic(address)
    produce(address, topic, [b"before"])

    own_kafka.kill()
    assert own_kafka.pid is None
    own_kafka.start()

    assert own_kafka.address == address
    produce(address, topic, [b"then"])
    assert await consume(address, topic, 2) == [b"before", b"then"]


def test_a_topic_that_nobody_made_is_an_error(kafka_url: str) -> None:
    topics = AdminClient({"bootstrap.servers": kafka_url}).list_topics("misspelt", timeout=TIMEOUT_SECONDS).topics
    error = topics["misspelt"].error
    assert error is not None
    assert error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
