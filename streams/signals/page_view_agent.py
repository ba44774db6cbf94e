"""The agent of the Faust app that counts page views: each once, and a damaged one is put aside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, cast

import structlog
from faust.streams import Stream
from faust.types import TP, StreamT

from projections.keys import Keys
from streams.agents import Share
from streams.dead_letter_topic import Origin, TopicDeadLetters
from streams.faust_chunks import Chunk, chunk_of
from streams.metrics import WorkerMetrics
from streams.patience import Patience
from streams.places import StoredPlaces
from streams.signals.page_view_buckets import NAME, Mark, PageViewBuckets, PageViews
from streams.signals.page_view_topic import TOPIC, NotPageViews, decode

WATCH_SECONDS: Final = 0.5
_log = structlog.get_logger(__name__)


class PageViewAgent:
    """Its places are offsets, written with the counts in one go: what comes again is not counted again.

    There are no positions, because page views are not in the log; what Kafka no longer has is gone.
    """

    def __init__(
        self,
        partitions_count: int,
        buckets: PageViewBuckets,
        places: StoredPlaces,
        metrics: WorkerMetrics,
        letters: TopicDeadLetters,
        give_up: Callable[[BaseException], None],
        *,
        outage_limit_seconds: float = 300.0,
    ) -> None:
        self.share = Share(NAME, TOPIC, partitions_count)
        self._buckets = buckets
        self._stored = places
        self._metrics = metrics
        self._letters = letters
        self._give_up = give_up
        self._patience = Patience(
            NAME, lambda: metrics.retries.labels(NAME).inc(), outage_limit_seconds=outage_limit_seconds
        )
        self._next_offsets: dict[str, int] = {}

    @property
    def trouble(self) -> str | None:
        """What keeps it from working now."""
        return self._patience.trouble

    async def beginnings(self) -> dict[str, int | None]:
        """The offset at which each partition of the topic goes on. To be asked when partitions are given out."""
        offsets = partial(self._stored.offsets, Keys(), NAME, self.share.partitions)
        return await self._patience.until_done(offsets)

    async def prepare(self) -> None:
        """There is nothing to prepare."""

    async def take(self, stream: StreamT[Any]) -> None:
        """Until cancelled."""
        try:
            async for event in cast(Stream[Any], stream).noack().events():
                await self._take(event.message.partition, chunk_of(event.message))
                event.ack()
        except Exception as error:
            self._give_up(error)
            await asyncio.Event().wait()

    async def keep(self, highwater: Callable[[TP], int | None]) -> None:
        """Until cancelled: tells how far behind it is."""
        while True:
            lags: Mapping[str, int] = {
                partition: max(0, (highwater(TP(TOPIC, int(partition.rpartition(":")[2]))) or 0) - next_offset)
                for partition, next_offset in self._next_offsets.items()
            }
            self._metrics.lag(NAME, lags)
            await asyncio.sleep(WATCH_SECONDS)

    def keep_only(self, numbers: Collection[int]) -> None:
        """Others have the other partitions now."""
        mine = {self.share.partition(number) for number in numbers}
        self._next_offsets = {name: offset for name, offset in self._next_offsets.items() if name in mine}

    async def _take(self, number: int, chunk: Chunk) -> None:
        partition, views = self.share.partition(number), list[PageViews]()
        for index, value in enumerate(chunk.values):
            try:
                views.append(decode(value))
            except NotPageViews as error:
                origin = Origin(TOPIC, number, chunk.offsets[index], chunk.keys[index])
                _log.error("message_cannot_be_read", where=str(origin), reason=str(error))
                await self._patience.until_done(
                    partial(self._letters.put_message, NAME, value or b"", str(error), origin)
                )
                self._metrics.dead_letters.labels(NAME).inc()
        next_offset = chunk.last_offset + 1
        mark = Mark(Keys().offsets(NAME), partition, next_offset)
        await self._patience.until_done(partial(self._buckets.add, views, mark))
        self._next_offsets[partition] = next_offset
        self._metrics.events.labels(NAME).inc(len(views))
