"""Page views on their way through Kafka: from the query API to the workers. Not part of the event store's history."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog
from confluent_kafka import KafkaError, Message, Producer

from streams.signals.page_view_buckets import PageViews

TOPIC: Final = "product-views"
# One message stands for the views of a second or so; one that says more is not ours.
COUNT_LIMIT_VIEWS: Final = 1_000_000
SKU_LIMIT_CHARACTERS: Final = 256
QUEUE_LIMIT_MESSAGES: Final = 10_000
QUEUE_LIMIT_KILOBYTES: Final = 8_192
MESSAGE_TIMEOUT_MILLISECONDS: Final = 5_000
SOCKET_TIMEOUT_MILLISECONDS: Final = 5_000
CLOSE_TIMEOUT_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


class NotPageViews(ValueError):
    """A message that no query API of ours wrote, or one that was damaged since."""


def encode(views: PageViews) -> bytes:
    """`{"sku": …, "count": …, "at": …}`, the time as RFC 3339."""
    return _encode({"sku": views.sku, "count": views.count, "at": views.at})


def decode(message: bytes | None) -> PageViews:
    """Raises NotPageViews; a message without a value (a tombstone) is none, either."""
    if message is None:
        raise NotPageViews("not page views: a message without a value")
    try:
        read = _message.decode(message)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # neither UTF-8 nor depth are msgspec's own
        raise NotPageViews(f"not page views: {error}") from error
    if not 1 <= read.count <= COUNT_LIMIT_VIEWS or not 1 <= len(read.sku) <= SKU_LIMIT_CHARACTERS:
        raise NotPageViews(f"not page views: {read.count} of {read.sku[:SKU_LIMIT_CHARACTERS]!r}")
    if read.at.tzinfo is None:
        raise NotPageViews("not page views: a time without its offset from UTC")
    return PageViews(read.sku, read.count, read.at.astimezone(UTC))


class PageViewTopic:
    """Never waits for Kafka: what does not get through within seconds is given up, and counted in `lost_count`."""

    def __init__(self, kafka_url: str) -> None:
        self._lost_count = 0
        self._is_away = False
        self._producer = Producer(
            {
                "bootstrap.servers": kafka_url,
                "client.id": "counterfoil-query-api",
                "acks": 1,
                "partitioner": "murmur2_random",
                "compression.type": "none",  # consumers in Python read the others with more libraries than ours
                "linger.ms": 50,
                "message.timeout.ms": MESSAGE_TIMEOUT_MILLISECONDS,
                "socket.timeout.ms": SOCKET_TIMEOUT_MILLISECONDS,
                "reconnect.backoff.max.ms": 2_000,
                "queue.buffering.max.messages": QUEUE_LIMIT_MESSAGES,
                "queue.buffering.max.kbytes": QUEUE_LIMIT_KILOBYTES,
                "error_cb": self._on_error,
            },
            logger=logging.getLogger(f"{__name__}.kafka"),
        )

    @property
    def lost_count(self) -> int:
        """Page views that did not get through, as far as is known now."""
        self._producer.poll(0)  # what became of the last ones nobody tells unasked
        return self._lost_count

    async def put(self, counts: Mapping[str, int], at: datetime) -> None:
        """Hands them over. SKU -> how often."""
        for sku, count in counts.items():
            try:
                self._producer.produce(
                    TOPIC,
                    key=sku.encode(),
                    value=encode(PageViews(sku, count, at)),
                    on_delivery=partial(self._on_delivery, count),
                )
            except BufferError:
                self._lost_count += count
        self._producer.poll(0)

    async def close(self) -> None:
        await asyncio.to_thread(self._producer.flush, CLOSE_TIMEOUT_SECONDS)
        self._producer.purge()
        self._producer.poll(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _on_delivery(self, count: int, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._lost_count += count
        elif self._is_away:
            self._is_away = False
            _log.info("page_views_go_to_kafka_again")

    def _on_error(self, error: KafkaError) -> None:
        if not self._is_away:
            self._is_away = True
            _log.warning("page_views_do_not_reach_kafka", error=str(error))


class _Message(msgspec.Struct):
    sku: str
    count: int
    at: datetime


_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(_Message)
