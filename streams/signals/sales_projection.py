"""Counts what was sold: what is bought together, and the sales' share of what is trending."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

from projections.keys import Keys
from projections.recorded import AnyEvent, Recorded
from projections.signals import keys as signal_keys
from projections.signals.placings import Placings
from projections.signals.sale import Sale, read_sale
from projections.view_projection import STREAM_PAGE_EVENTS, Streams
from projections.writes import Checkpoint
from streams.signals.sales_script import SalesCounters

NAME: Final = "sales"


class SalesProjection:
    """Any event that comes after the placing stands for it, too, so that an order is counted even if that was missed.

    An order is counted once, whatever comes how often and when (streams/signals/sales_script.py).
    """

    name = NAME

    def __init__(
        self,
        redis: Redis,
        streams: Streams,
        now: Callable[[], datetime],
        keys: Keys | None = None,
        partition: str = "0",
    ) -> None:
        self._redis = redis
        self._streams = streams
        self._now = now
        self._partition = partition
        self._checkpoint_key = (keys or Keys()).checkpoint(NAME)
        self._counters = SalesCounters(redis)
        self._placings = Placings()
        self._position = 0

    async def checkpoint(self) -> int:
        """The position up to which the counters hold everything; 0 when they hold nothing."""
        stored = await self._redis.hget(self._checkpoint_key, self._partition)
        self._position = int(stored or 0)
        return self._position

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        """Raises CheckpointLost and redis' errors; whatever the streams raise. Then it can be applied again."""
        sales = await self._sales([recorded.event for recorded in batch])
        checkpoint = Checkpoint(NAME, self._checkpoint_key, self._partition, self._position, up_to)
        self._position = await self._counters.count(sales, checkpoint, self._now())

    async def repair(self, stream_id: UUID) -> None:
        """Counts the order, if it was placed and is not counted. Raises what `apply` raises."""
        sale = await self._read_again(stream_id)
        if sale is not None:
            checkpoint = Checkpoint(NAME, self._checkpoint_key, self._partition, self._position, self._position)
            self._position = await self._counters.count([sale], checkpoint, self._now())

    async def _sales(self, events: Sequence[AnyEvent]) -> list[Sale]:
        placed, unknown = self._placings.read(events)
        for order_id in await self._not_counted(unknown):
            sale = await self._read_again(order_id)
            if sale is not None:
                placed[order_id] = sale
        return list(placed.values())

    async def _not_counted(self, order_ids: Collection[UUID]) -> list[UUID]:
        if not order_ids:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for order_id in order_ids:
                pipeline.sismember(signal_keys.counted(order_id), order_id.bytes)  # type: ignore[arg-type]
            answers = await pipeline.execute()
        return [order_id for order_id, is_counted in zip(order_ids, answers, strict=True) if not is_counted]

    async def _read_again(self, order_id: UUID) -> Sale | None:
        return read_sale(await self._streams.read_stream(order_id, 0, STREAM_PAGE_EVENTS))
