"""Faust's Kafka transport, but for three things.

What was fetched of a partition comes as a few messages, not as thousands: Faust spends two asyncio tasks on each. A
message's value is a `Chunk`, up to so many records of one partition, in order; its offset is that of the last of them.

And a partition is begun where the *store* says that it goes on, not where Kafka was told that it had come to. What was
applied and what is read next then cannot disagree, whatever was committed and when; the offsets that are committed to
Kafka tell those who watch the consumer's lag, and nobody else.

And Kafka is asked in another rhythm. aiokafka has one request under way, for those partitions of which nothing lies
unread; the answer comes as soon as there is anything, or after 1.5 s. A partition that became free meanwhile waits for
that answer. So answers come soon, and hold what came to all partitions in that time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, Message

CHUNK_LIMIT_RECORDS: Final = 500
FETCH_WAIT_MILLISECONDS: Final = 50
FETCH_ENOUGH_BYTES: Final = 65_536


class _Begins(Protocol):
    """The app that it is used by."""

    async def beginnings(self, partitions: Collection[TP]) -> Mapping[TP, int | None]: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition: their values (None: a tombstone's), and the offsets of the first and the last."""

    first_offset: int
    last_offset: int
    values: list[bytes | None]
    # For the few that are put aside.
    keys: list[bytes | None]
    offsets: list[int]


class _ConsumerThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no settings for these two.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MILLISECONDS
        consumer._fetch_min_bytes = FETCH_ENOUGH_BYTES
        return consumer


class ChunkConsumer(Consumer):
    """Commits as Faust does, when all agents of a topic have acknowledged a chunk.

    Agents take the chunks of a partition in order and each of them checks that none is missing (streams/places.py), so
    the last one acknowledged stands for all before it.
    """

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        fetched = await super()._getmany(active_partitions, timeout)
        return {tp: _cut(records) for tp, records in fetched.items()}

    def _to_message(self, tp: TP, record: Any) -> Any:
        last, chunk = record
        message = super()._to_message(tp, last)
        message.key, message.value = None, chunk
        return message

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust after each rebalance, before anything is read."""
        beginnings = await cast(_Begins, self.app).beginnings(self.assignment())
        known = {tp: offset for tp, offset in beginnings.items() if offset is not None}
        unknown = [self._new_topicpartition(*tp) for tp, offset in beginnings.items() if offset is None]
        if unknown:
            await self._thread.seek_to_beginning(*unknown)
        if known:
            await self._thread.seek_wait(known)
        return cast(Mapping[TP, int], beginnings)  # Faust takes None for one without an offset, too

    def _new_offset(self, tp: TP) -> int | None:
        acknowledged = self._acked[tp]
        if not acknowledged:
            return None
        last = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return last + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets within a chunk are no gaps."""


class ChunkTransport(Transport):
    Consumer = ChunkConsumer


def chunk_of(message: Message) -> Chunk:
    return cast(Chunk, message.value)


def _cut(records: list[Any]) -> list[tuple[Any, Chunk]]:
    cut = []
    for first in range(0, len(records), CHUNK_LIMIT_RECORDS):
        some = records[first : first + CHUNK_LIMIT_RECORDS]
        last = some[-1]
        values, keys, offsets = ([getattr(each, name) for each in some] for name in ("value", "key", "offset"))
        cut.append((last, Chunk(some[0].offset, last.offset, values, keys, offsets)))
    return cut
