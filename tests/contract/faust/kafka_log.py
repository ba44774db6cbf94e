"""Sends a log to Kafka as the relay does, or worse than any relay would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from confluent_kafka import Producer

from commandside.event_store.mapper import Row
from streams.envelope import Envelope, encode, encode_marker
from streams.topics import TOPICS

PARTITIONS_COUNT = 8
FLUSH_TIMEOUT_SECONDS = 60


def envelopes(rows: Iterable[Row]) -> list[Envelope]:
    return [envelope for envelope in map(encode, rows) if envelope is not None]


class KafkaLog:
    def __init__(self, kafka_url: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": kafka_url, "partitioner": "murmur2_random", "enable.idempotence": True}
        )

    def send(self, messages: Sequence[Envelope]) -> None:
        for message in messages:
            self._producer.produce(message.kafka_topic, key=message.key, value=message.value)
        self.flush()

    def send_raw(self, topic: str, value: bytes | None, key: bytes = b"whoever") -> None:
        self._producer.produce(topic, key=key, value=value)
        self.flush()

    def mark(self, position: int) -> None:
        """Everything up to there was sent."""
        for topic in TOPICS:
            for partition in range(PARTITIONS_COUNT):
                self._producer.produce(topic, partition=partition, value=encode_marker(position))
        self.flush()

    def flush(self) -> None:
        assert self._producer.flush(FLUSH_TIMEOUT_SECONDS) == 0
