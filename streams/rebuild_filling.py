"""Fills a generation that nobody reads yet: large batches, small writes, and views kept in memory while they change."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis

from projections.keys import Keys
from projections.recorded import Recorded
from projections.views import Slot, View
from projections.writes import Checkpoint, Write, Writer
from streams.feeder import Feeder
from streams.patience import TRANSIENT

# A script keeps all others waiting: a few milliseconds of it, readers do not notice.
WRITES_AT_ONCE_COUNT: Final = 250
KEPT_VIEWS_COUNT: Final = 10_000
FEEDER_BATCH_EVENTS: Final = 500
YIELD_AFTER_EVENTS: Final = 200


class Filling:
    """`apply` returns before its writes are stored; the checkpoint is written after all of them.

    So a crash costs the last batch, which is applied again. A batch that cannot be applied as a whole goes to `feeder`,
    which finds the event and sets its stream aside.
    """

    def __init__(self, view: View[Any], redis: Redis, keys: Keys, feeder: Feeder) -> None:
        self._view = view
        self._redis = redis
        self._checkpoint_key = keys.checkpoint(view.name)
        self._feeder = feeder
        self._writer = Writer(redis)
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._writing: asyncio.Task[None] | None = None
        self._opened = False
        self.position = 0

    async def open(self) -> int:
        """The position to go on from. The first time, streams that were set aside are tried again."""
        await (self._feeder.learn_set_aside() if self._opened else self._feeder.open())
        self._opened = True
        self.position = await self._feeder.projection.checkpoint()
        self._kept.clear()
        return self.position

    async def apply(self, events: Sequence[Recorded], up_to: int) -> None:
        """All events between the last place and this one. Raises what the store raises, also of the batch before."""
        try:
            writes = await self._evolve(events)
        except TRANSIENT:
            raise
        except Exception:  # the feeder finds out which event it was, and raises what is to be raised
            await self.flush()
            await self._feed(events, up_to)
            return
        await self.flush()
        self._writing = asyncio.create_task(self._write(writes, up_to))
        await asyncio.sleep(0)  # lets the first of it be sent before the next batch is worked on
        while len(self._kept) > KEPT_VIEWS_COUNT + len(writes):
            self._kept.popitem(last=False)

    async def flush(self) -> None:
        """Everything that was applied is stored when this returns. Raises what the store raises."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def close(self) -> None:
        """What is being written is given up."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None

    async def _evolve(self, events: Sequence[Recorded]) -> list[Write]:
        # By number: a UUID's own hash and comparison are Python, and this is done for every event.
        streams: dict[int, list[Recorded]] = {}
        for recorded in events:
            streams.setdefault(recorded.event.originator_id.int, []).append(recorded)
        slots = {number: self._view.slot(stream[0].event) for number, stream in streams.items()}
        # A stream that begins in this very batch has nothing, or what it comes to again.
        begun = [number for number, stream in streams.items() if stream[0].event.originator_version > 1]
        await self._load({number: slots[number] for number in begun if number not in self._kept})
        evolve, kept = self._view.evolve, self._kept
        writes: list[Write] = []
        changed: dict[int, Any] = {}
        evolved_count = 0
        for number, stream in streams.items():
            view = kept.get(number)
            for _, event in stream:
                view = evolve(view, event)
            changed[number] = view
            writes += self._view.writes(slots[number], view)
            evolved_count += len(stream)
            if evolved_count >= YIELD_AFTER_EVENTS:
                evolved_count = 0
                await asyncio.sleep(0)  # lets the next of the batch before be sent, so that the store works meanwhile
        for number, view in changed.items():
            kept[number] = view
            kept.move_to_end(number)
        return writes

    async def _load(self, slots: Mapping[int, Slot]) -> None:
        """What is not in memory."""
        if not slots:
            return
        await self.flush()
        async with self._redis.pipeline(transaction=False) as pipeline:
            for slot in slots.values():
                pipeline.hmget(slot.key, slot.fields)
            stored = await pipeline.execute()
        for (number, slot), values in zip(slots.items(), stored, strict=True):
            if (view := self._view.load(slot, values)) is not None:
                self._kept[number] = view

    async def _write(self, writes: Sequence[Write], up_to: int) -> None:
        position = self.position
        for first in range(0, len(writes), WRITES_AT_ONCE_COUNT):
            chunk = writes[first : first + WRITES_AT_ONCE_COUNT]
            await self._writer.write(chunk, self._checkpoint(position, position))
        self.position = await self._writer.write([], self._checkpoint(position, up_to))

    def _checkpoint(self, expected_position: int, new_position: int) -> Checkpoint:
        return Checkpoint(self._view.name, self._checkpoint_key, "0", expected_position, new_position)

    async def _feed(self, events: Sequence[Recorded], up_to: int) -> None:
        self._kept.clear()
        await self._feeder.projection.checkpoint()
        for first in range(0, len(events), FEEDER_BATCH_EVENTS):
            batch = events[first : first + FEEDER_BATCH_EVENTS]
            await self._feeder.feed(batch, batch[-1].position)
        await self._feeder.feed([], up_to)
        self.position = await self._feeder.projection.checkpoint()
