"""Puts messages into Kafka, and knows which of them have arrived."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from streams.envelope import HEADERS, Envelope, encode_marker
from streams.relay.kafka_topics import MESSAGE_LIMIT_BYTES
from streams.relay.metrics import RelayMetrics
from streams.topics import TOPICS

LOOK_INTERVAL_SECONDS = 0.002
PROBE_INTERVAL_SECONDS = 1.0
PROBE_TIMEOUT_SECONDS = 2.0
# A Kafka that stands still keeps its connections, and the producer waits much longer before it calls that an error.
SILENCE_LIMIT_SECONDS = 3.0
QUEUE_LIMIT_KILOBYTES = 65_536
_log = structlog.get_logger(__name__)

# The order of what is sent is kept whatever happens, because nothing is given up: a message waits for Kafka to come
# back, and the number of those that wait is limited. `murmur2_random` is the partitioner of all other clients.
PRODUCER: Final[dict[str, Any]] = {
    "client.id": "counterfoil-relay",
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
    "compression.type": "none",  # consumers in Python read the others with more libraries than ours
    "linger.ms": 5,
    "batch.size": 262_144,
    "message.max.bytes": MESSAGE_LIMIT_BYTES,
    "message.timeout.ms": 0,
    "socket.timeout.ms": 10_000,
    "socket.keepalive.enable": True,
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2_000,
    "queue.buffering.max.kbytes": QUEUE_LIMIT_KILOBYTES,
}


class Undelivered(Exception):
    """Kafka refused a message, or the producer is beyond repair: go back to what was saved, with a new one."""


class Sender:
    """`delivered_up_to` is the position up to which Kafka has every event that it was given.

    `trouble` says what is wrong with Kafka now. One task sends, another one runs `serve`.
    """

    def __init__(
        self,
        kafka_url: str,
        partitions_count: int,
        metrics: RelayMetrics,
        delivered_up_to: int,
        *,
        in_flight_limit_messages: int = 20_000,
    ) -> None:
        self.delivered_up_to = delivered_up_to
        self.kept_up_at = time.monotonic()
        self.trouble: str | None = None
        self.heard_at = time.monotonic()
        self._partitions_count = partitions_count
        self._metrics = metrics
        self._limit = in_flight_limit_messages
        self._batches: deque[_Batch] = deque()  # bounded: an empty one joins the one before
        self._failure: str | None = None
        self._markers = _Batch(self, 0, None)
        markers_count = len(TOPICS) * partitions_count
        self._producer = Producer(
            {
                **PRODUCER,
                "bootstrap.servers": kafka_url,
                "queue.buffering.max.messages": in_flight_limit_messages + markers_count,
                "error_cb": self._on_error,
            },
            logger=logging.getLogger(f"{__name__}.kafka"),
        )

    @property
    def is_idle(self) -> bool:
        """Kafka has every event that it was given."""
        return not self._batches

    @property
    def in_flight_count(self) -> int:
        return len(self._producer)

    async def send(self, envelopes: Sequence[Envelope], up_to: int, was_all_at: float | None) -> None:
        """The events of the log up to position `up_to`, which were all there were at `was_all_at` (monotonic).

        Returns when they are queued, which waits while too many are on their way. Raises Undelivered.
        """
        if not envelopes and self._batches:
            last = self._batches[-1]
            last.up_to, last.was_all_at = max(last.up_to, up_to), was_all_at or last.was_all_at
            return
        batch = _Batch(self, up_to, was_all_at)
        self._batches.append(batch)
        for envelope in envelopes:
            batch.waiting_for_count += 1
            batch.counts[envelope.kafka_topic] += 1
            await self._produce(batch, envelope.kafka_topic, envelope.value, key=envelope.key)
        batch.is_queued = True
        self._settle()

    async def mark(self, position: int) -> None:
        """Tells every partition that all up to `position` was sent before. Raises Undelivered."""
        marker = encode_marker(position)
        for topic in TOPICS:
            for partition in range(self._partitions_count):
                self._markers.waiting_for_count += 1
                await self._produce(self._markers, topic, marker, partition=partition)

    async def serve(self) -> None:
        """Hears of what was delivered, until cancelled. Raises Undelivered."""
        probed_at = time.monotonic()
        while True:
            self._collect()
            if not self.in_flight_count:
                self.heard_at = time.monotonic()
            is_silent = time.monotonic() - self.heard_at > SILENCE_LIMIT_SECONDS
            if (is_silent or self.trouble is not None) and time.monotonic() - probed_at > PROBE_INTERVAL_SECONDS:
                await self._probe()
                probed_at = time.monotonic()
            await asyncio.sleep(LOOK_INTERVAL_SECONDS if self.in_flight_count else LOOK_INTERVAL_SECONDS * 5)

    async def finish(self, timeout_seconds: float) -> None:
        """Waits for what is on its way, so long. Raises Undelivered."""
        until = time.monotonic() + timeout_seconds
        while self.in_flight_count and time.monotonic() < until:
            self._collect()
            await asyncio.sleep(LOOK_INTERVAL_SECONDS)

    def fail(self, error: KafkaError) -> None:
        """A message will never arrive: nothing that was sent after it counts."""
        self._failure = self._failure or str(error)

    async def close(self) -> None:
        """Sends nothing more, not even what is queued."""
        self._failure = self._failure or "closed"
        self._producer.purge()
        self._producer.poll(0)
        await asyncio.to_thread(self._producer.close)  # its threads would outlive it otherwise

    async def _produce(self, batch: _Batch, topic: str, value: bytes, **where: Any) -> None:
        while len(self._producer) >= self._limit:
            await self._wait_for_room()
        while True:
            try:
                self._producer.produce(topic, value, headers=HEADERS, on_delivery=batch.delivered, **where)
            except BufferError:  # too many bytes
                await self._wait_for_room()
            except KafkaException as error:
                raise Undelivered(str(error)) from error
            else:
                return

    async def _wait_for_room(self) -> None:
        self._collect()
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)

    def _collect(self) -> None:
        self._producer.poll(0)
        if self._failure is not None:
            raise Undelivered(self._failure)
        self._settle()
        self._metrics.in_flight.set(self.in_flight_count)

    def _settle(self) -> None:
        while self._batches and self._batches[0].is_delivered:
            batch = self._batches.popleft()
            self.delivered_up_to = batch.up_to
            if batch.was_all_at is not None:
                self.kept_up_at = batch.was_all_at
            for topic, count in batch.counts.items():
                self._metrics.events.labels(topic).inc(count)
            self._metrics.position.set(self.delivered_up_to)

    async def _probe(self) -> None:
        """An idle producer does not say that Kafka is back, and one that waits for an answer not that there is none."""
        try:
            await asyncio.to_thread(self._producer.list_topics, timeout=PROBE_TIMEOUT_SECONDS)
        except KafkaException as error:
            self.trouble = str(error)
        else:
            if self.trouble is not None:
                _log.info("kafka_answers_again")
            self.trouble = None

    def _on_error(self, error: KafkaError) -> None:
        if self.trouble is None:
            _log.warning("kafka_unavailable", error=str(error))
        self.trouble = str(error)
        self._metrics.errors.labels("kafka").inc()
        if error.fatal():
            self._failure = str(error)


class _Batch:
    """Messages that are sent together. `delivered` hears of each of them."""

    __slots__ = ("_sender", "counts", "is_queued", "up_to", "waiting_for_count", "was_all_at")

    def __init__(self, sender: Sender, up_to: int, was_all_at: float | None) -> None:
        self.up_to = up_to
        self.was_all_at = was_all_at
        self.waiting_for_count = 0
        self.is_queued = False
        self.counts: Counter[str] = Counter()
        self._sender = sender

    @property
    def is_delivered(self) -> bool:
        return self.is_queued and self.waiting_for_count == 0

    def delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._sender.fail(error)
        else:
            self.waiting_for_count -= 1
            self._sender.heard_at = time.monotonic()
