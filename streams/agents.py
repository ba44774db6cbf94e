"""What an agent of the Faust app does: it takes one topic into one view, with the processors that run embedded, too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast
from uuid import UUID

import structlog
from aiokafka.partitioner import murmur2
from faust.streams import Stream
from faust.types import TP, Message, StreamT

from projections.generations import Fed
from projections.writes import CheckpointLost
from streams.chunk_reading import Reading, Unreadable, read
from streams.dead_letter_topic import Origin, Send, TopicDeadLetters, shown
from streams.dead_letters import DeadLetter
from streams.faust_chunks import Chunk, chunk_of
from streams.feeder import REASON_LIMIT_CHARACTERS, CannotGoOn, Feeder
from streams.forgotten import TopicLog, fill
from streams.metrics import WorkerMetrics
from streams.patience import Patience
from streams.places import Place, StoredPlaces
from streams.view_feeds import Feeds

WATCH_SECONDS: Final = 0.5
STORE_CHECK_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """The topic that a view is made of, and in how many partitions it comes."""

    view: str
    topic: str
    partitions_count: int

    @property
    def partitions(self) -> list[str]:
        """As the checkpoints call them."""
        return [self.partition(number) for number in range(self.partitions_count)]

    def partition(self, number: int) -> str:
        return f"{self.topic}:{number}"

    def number_of(self, stream_id: UUID) -> int:
        """The partition that the relay sends this stream to."""
        return int(murmur2(str(stream_id).encode()) & 0x7FFFFFFF) % self.partitions_count


class ViewAgent:
    """Nothing is ever raised out of `take`: a stream that is left that way loses what it had taken.

    What is to be tried again is tried again here; when that is to no avail, `give_up` is told the reason, once, and
    nothing more is taken or acknowledged: the process is to end. Its successor begins where the store says.
    """

    def __init__(
        self,
        share: Share,
        feeds: Feeds,
        places: StoredPlaces,
        metrics: WorkerMetrics,
        send: Send,
        give_up: Callable[[BaseException], None],
        log: TopicLog,
        *,
        outage_limit_seconds: float = 300.0,
        set_aside_limit_streams: int = 100,
    ) -> None:
        self.share = share
        self._feeds = feeds
        self._stored = places
        self._metrics = metrics
        self._send = send
        self._give_up = give_up
        self._log = log
        self._set_aside_limit_streams = set_aside_limit_streams
        self._patience = Patience(
            share.view, lambda: metrics.retries.labels(share.view).inc(), outage_limit_seconds=outage_limit_seconds
        )
        self._wanted: list[Fed] = []
        self._joined: set[Fed] = set()
        self._mine: set[str] = set()
        self._places: dict[str, Place] = {}
        self._positions: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._feeders: dict[tuple[Fed, str], tuple[Feeder, TopicDeadLetters]] = {}
        self._turn = asyncio.Lock()
        self._store_checked_at = time.monotonic()

    @property
    def trouble(self) -> str | None:
        """What keeps it from working now."""
        return self._patience.trouble

    def position(self) -> int:
        """All partitions that it has here are at least there; 0 while it has none."""
        return min(self._positions.values(), default=0)

    async def beginnings(self) -> dict[str, int | None]:
        """The offset at which each partition of the topic goes on. To be asked when partitions are given out."""
        live = await self._patience.until_done(self._live)
        offsets = partial(self._stored.offsets, live.keys, self.share.view, self.share.partitions)
        return await self._patience.until_done(offsets)

    async def prepare(self) -> None:
        """Before the first chunk: a view's position is that of the last of all partitions, so all must be there."""
        live = await self._patience.until_done(self._live)
        await self._patience.until_done(
            partial(self._stored.prepare, live.keys, self.share.view, self.share.partitions)
        )
        await self._patience.until_done(self._look)

    async def take(self, stream: StreamT[Any]) -> None:
        """Until cancelled."""
        try:
            async for event in cast(Stream[Any], stream).noack().events():
                async with self._turn:
                    await self._take(event.message)
                event.ack()
        except Exception as error:
            self._give_up(error)
            await asyncio.Event().wait()

    async def keep(self, highwater: Callable[[TP], int | None]) -> None:
        """Until cancelled: writes down the places, and looks which generations are wanted and what is to be retried."""
        while True:
            async with self._turn:
                await self._patience.until_done(self._look)
                await self._patience.until_done(self._write_places)
                if time.monotonic() - self._store_checked_at > STORE_CHECK_SECONDS:
                    await self._patience.until_done(self._check_store)
            self._tell(highwater)
            await asyncio.sleep(WATCH_SECONDS)

    def keep_only(self, numbers: Collection[int]) -> None:
        """Others have the other partitions now."""
        self._mine = {self.share.partition(number) for number in numbers}
        for partition in [each for each in self._places if each not in self._mine]:
            self._forget(partition)

    async def _take(self, message: Message) -> None:
        chunk, partition = chunk_of(message), self.share.partition(message.partition)
        place = await self._place(partition, message.generation_id or 0)
        number = message.partition
        reading = read(chunk.values, lambda stream_id: self.share.number_of(stream_id) == number)
        if not place.has_begun:
            if place.reaches_back(chunk.first_offset):
                place.begin(chunk.first_offset)
            elif reading.begins_after is not None:
                await self._fill(partition, place.next_offset, chunk.first_offset, reading.begins_after)
                place.begin(chunk.first_offset)
        if place.has_begun:
            place.check(chunk.first_offset)
        for fed in list(self._wanted):
            feed = partial(self._feed, fed, message.partition, reading, chunk)
            try:
                await self._patience.until_done(feed)
            except CheckpointLost as lost:
                await self._lost(fed, partition, lost)
        if place.has_begun:  # else nothing in it said how far the log is to be read
            place.advance(chunk.last_offset)
        if reading.up_to is not None:
            self._positions[partition] = max(self._positions.get(partition, 0), reading.up_to)
        self._metrics.events.labels(self.share.view).inc(len(reading.events))

    async def _feed(self, fed: Fed, number: int, reading: Reading, chunk: Chunk) -> None:
        feeder, letters = await self._feeder(fed, self.share.partition(number))
        letters.present = chunk.values
        if fed.name == fed.view:
            for damaged in reading.damaged:
                origin = self._origin(number, chunk, damaged.index)
                _log.error("message_cannot_be_read", where=str(origin), reason=damaged.reason)
                await letters.put_message(fed.view, damaged.value, damaged.reason, origin)
                self._metrics.dead_letters.labels(fed.name).inc()
        fed_count = 0
        for bad in reading.unreadable:
            before = reading.events[fed_count : bad.events_before_count]
            if before:
                await feeder.feed(before, max(recorded.position for recorded in before))
                fed_count = bad.events_before_count
            await feeder.put_aside(self._letter(bad, self._origin(number, chunk, bad.index), chunk), bad.error)
        if reading.up_to is not None:
            await feeder.feed(reading.events[fed_count:], reading.up_to)

    def _origin(self, number: int, chunk: Chunk, index: int) -> Origin:
        return Origin(self.share.topic, number, chunk.offsets[index], chunk.keys[index])

    @staticmethod
    def _letter(bad: Unreadable, origin: Origin, chunk: Chunk) -> DeadLetter:
        error = bad.error
        reason = f"{str(error)[:REASON_LIMIT_CHARACTERS]} ({origin})"
        message = shown(chunk.values[bad.index] or b"")
        # A version below 1 is none: its stream is set aside all the same.
        return DeadLetter(error.position, error.stream_id, max(error.version, 1), error.event_type, reason, message)

    async def _fill(self, partition: str, wanted: int | None, first_offset: int, up_to: int) -> None:
        """What is not in Kafka before the first chunk, from the log.

        What Kafka forgot of one partition it forgot of all, and they share the log; but for those that have begun: were
        their data lost meanwhile, they alone would still know it. A topic from its beginning lacks next to nothing.
        """
        begun = {each for each, place in self._places.items() if place.has_begun}
        others = self._mine - begun if first_offset > 0 else set[str]()
        if first_offset > 0:
            _log.warning(
                "kafka_does_not_reach_back", partition=partition, first_offset=first_offset, wanted_offset=wanted
            )
        for fed in list(self._wanted):
            feeders = {
                each: (await self._patience.until_done(partial(self._feeder, fed, each)))[0]
                for each in sorted(others | {partition})
            }
            between = partial(self._feeds.say_fed, list(self._wanted))
            try:
                count = await fill(
                    self._log, feeders, self._partition_of, up_to, self._patience, partial(self._say, between)
                )
            except CheckpointLost as lost:
                await self._lost(fed, partition, lost)
            else:
                self._metrics.events.labels(self.share.view).inc(count)
                if count:
                    _log.warning("filled_from_the_log", projection=fed.name, up_to=up_to, events_count=count)

    async def _say(self, between: Callable[[], Awaitable[None]]) -> None:
        await self._patience.until_done(between)

    def _partition_of(self, stream_id: UUID) -> str:
        return self.share.partition(self.share.number_of(stream_id))

    async def _feeder(self, fed: Fed, partition: str) -> tuple[Feeder, TopicDeadLetters]:
        if (fed, partition) not in self._feeders:
            number = int(partition.rpartition(":")[2])
            letters = TopicDeadLetters(self._feeds.dead_letters(fed), self.share.topic, self._send)
            projection = self._feeds.projection(fed, partition)
            feeder = Feeder(
                projection,
                letters,
                self._metrics,
                name=fed.name,
                set_aside_limit_streams=self._set_aside_limit_streams,
                is_mine=lambda stream_id: self.share.number_of(stream_id) == number,
            )
            await projection.checkpoint()
            await feeder.open()
            self._feeders[fed, partition] = (feeder, letters)
        return self._feeders[fed, partition]

    async def _place(self, partition: str, generation: int) -> Place:
        place = self._places.get(partition)
        if place is None or place.generation != generation:
            self._forget(partition)
            begins_at = (await self.beginnings())[partition]
            place = self._places[partition] = Place(partition, generation, begins_at)
        return place

    def _forget(self, partition: str) -> None:
        self._places.pop(partition, None)
        self._positions.pop(partition, None)
        self._written.pop(partition, None)
        for key in [key for key in self._feeders if key[1] == partition]:
            del self._feeders[key]

    async def _lost(self, fed: Fed, partition: str, lost: CheckpointLost) -> None:
        await self._patience.until_done(self._look)
        if fed in self._wanted:
            self._metrics.losses.labels(fed.name).inc()
            raise CannotGoOn(f"the store lost what it held of {partition}, and is fed again from {lost.held_position}")

    async def _live(self) -> Fed:
        return next(fed for fed in await self._feeds.wanted() if fed.name == self.share.view)

    async def _look(self) -> None:
        """Which generations are wanted: the first of them is the live one."""
        wanted = [fed for fed in await self._feeds.wanted() if fed.view == self.share.view]
        for fed in wanted:
            if fed not in self._joined and fed.name != fed.view:
                await self._stored.join(fed.keys, fed.view, self.share.partitions)
            self._joined.add(fed)
        await self._feeds.say_fed(wanted)
        self._joined.intersection_update(wanted)
        self._wanted = wanted
        for key in [key for key in self._feeders if key[0] not in wanted]:
            del self._feeders[key]

    async def _write_places(self) -> None:
        offsets = {name: place.next_offset for name, place in self._places.items() if place.next_offset is not None}
        changed = {name: offset for name, offset in offsets.items() if self._written.get(name) != offset}
        if not changed:
            return
        for fed in self._wanted:
            is_live = fed.name == fed.view
            # A generation that is being built may hold less than the live one.
            held = {name: self._positions.get(name, 0) if is_live else 0 for name in changed}
            places = {name: (held[name], offset) for name, offset in changed.items()}
            lost = await self._stored.write(fed.keys, fed.view, places)
            if lost is not None and is_live:
                raise CannotGoOn(f"the store lost what it held of {lost}")
        self._written.update(changed)

    async def _check_store(self) -> None:
        """A store that lost its data while nothing happens would not be noticed by writing to it."""
        self._store_checked_at = time.monotonic()
        for (fed, partition), (feeder, _) in list(self._feeders.items()):
            held = await feeder.projection.checkpoint()
            if fed.name == fed.view and held < self._positions.get(partition, 0):
                raise CannotGoOn(f"the store lost what it held of {partition}, and is fed again from {held}")
            await feeder.look_for_retries()

    def _tell(self, highwater: Callable[[TP], int | None]) -> None:
        view = self.share.view
        self._metrics.position.labels(view).set(self.position())
        live = [feeder for (fed, _), (feeder, _) in self._feeders.items() if fed.name == view]
        self._metrics.set_aside.labels(view).set(sum(feeder.set_aside_count for feeder in live))
        lags: Mapping[str, int] = {
            partition: max(
                0, (highwater(TP(self.share.topic, int(partition.rpartition(":")[2]))) or 0) - place.next_offset
            )
            for partition, place in self._places.items()
            if place.next_offset is not None
        }
        self._metrics.lag(view, lags)
