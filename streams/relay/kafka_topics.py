"""The topics that the relay sends to: made where they are missing, and never other than they are meant to be."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.feeder import CannotGoOn
from streams.topics import TOPICS

ANSWER_TIMEOUT_SECONDS = 10.0
# An event is at most as large as the largest request that may cause it (body_limit_bytes), and some more.
MESSAGE_LIMIT_BYTES = 20 * 1024 * 1024
# By time alone: what a busy day brings must not push out what a worker that was away over the weekend still needs. What
# is older a worker reads from the log (streams/forgotten.py).
RETENTION_MILLISECONDS = 7 * 24 * 60 * 60 * 1000
_CONFIG = {
    "max.message.bytes": str(MESSAGE_LIMIT_BYTES),
    "cleanup.policy": "delete",
    "retention.ms": str(RETENTION_MILLISECONDS),
    "retention.bytes": "-1",
}


async def ensure_topics(kafka_url: str, partitions_count: int, topics: Collection[str] = TOPICS) -> None:
    """Raises KafkaException when Kafka does not answer, CannotGoOn when a topic has another number of partitions."""
    await asyncio.to_thread(_ensure_topics, kafka_url, partitions_count, topics)


def _ensure_topics(kafka_url: str, partitions_count: int, topics: Collection[str]) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_url, "client.id": "counterfoil-relay"})
    there = admin.list_topics(timeout=ANSWER_TIMEOUT_SECONDS).topics
    missing = [topic for topic in topics if topic not in there]
    if missing:
        made = admin.create_topics(
            [NewTopic(topic, partitions_count, config=_CONFIG) for topic in missing],
            request_timeout=ANSWER_TIMEOUT_SECONDS,
        )
        for creation in made.values():
            _result(creation)
        there = admin.list_topics(timeout=ANSWER_TIMEOUT_SECONDS).topics
    wrong = {topic: len(there[topic].partitions) for topic in topics if topic in there}
    wrong = {topic: count for topic, count in wrong.items() if count not in (0, partitions_count)}
    if wrong:
        raise CannotGoOn(
            f"Topics with another number of partitions than COUNTERFOIL_KAFKA_PARTITIONS={partitions_count}: {wrong}. "
            "Which partition an event belongs to depends on it: set it to what they have, or start with new topics."
        )


def _result(creation: Future[None]) -> None:
    try:
        creation.result(timeout=ANSWER_TIMEOUT_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another relay was quicker
            raise
