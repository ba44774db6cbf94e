"""Feeds one projection from the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import structlog

from projections.recorded import Recorded
from projections.writes import CheckpointLost
from streams.dead_letters import DeadLetters
from streams.feeder import CannotGoOn, Feeder, Projection
from streams.metrics import ProjectorMetrics
from streams.patience import TRANSIENT, Patience
from streams.tail import Page, Tail

_log = structlog.get_logger(__name__)

# Of a store that only the letters are in: the events that come meanwhile wait for no longer than this.
LETTERS_TIMEOUT_SECONDS: Final = 0.5
LETTERS_LONGEST_PAUSE_SECONDS: Final = 30.0


class Follower:
    """Takes its projection from its checkpoint to the end of the log, and keeps it there.

    A store that does not answer is tried again (Patience). An event that cannot be applied becomes a dead letter, and
    its stream is set aside: its view stays as it was, for what comes later in the stream builds on that event. The
    other streams go on. At the next start, maybe of a repaired program, the streams set aside are tried again.
    `name` is what metrics and messages call it, the projection's where none is given.

    `letters_apart`: the letters are in another store than what the projection writes. While that one is away all goes
    on but what needs it: which streams are set aside and which are to be tried again is looked at later, and an event
    that cannot be applied waits to be written down. A stream that is not known to be set aside meanwhile fails again,
    or is whole: a projection for which this is set reads a stream again where it misses an event.
    """

    def __init__(
        self,
        projection: Projection,
        tail: Tail,
        dead_letters: DeadLetters,
        metrics: ProjectorMetrics,
        *,
        outage_limit_seconds: float = 300.0,
        set_aside_limit_streams: int = 100,
        store_check_seconds: float = 2.0,
        name: str | None = None,
        letters_apart: bool = False,
    ) -> None:
        self.name = name or projection.name
        self.position = 0
        self.started = False
        self._projection = projection
        self._tail = tail
        self._feeder = Feeder(
            projection,
            dead_letters,
            metrics,
            name=self.name,
            set_aside_limit_streams=set_aside_limit_streams,
            letters_timeout_seconds=LETTERS_TIMEOUT_SECONDS if letters_apart else None,
        )
        self._metrics = metrics
        self._patience = Patience(
            self.name, lambda: metrics.retries.labels(self.name).inc(), outage_limit_seconds=outage_limit_seconds
        )
        self._store_check_seconds = store_check_seconds
        self._letters_apart = letters_apart
        self._letters_known = False
        self._letters_pause_seconds = 0.0
        self._letters_due_at = time.monotonic()
        self._waiting = False
        self._caught_up_at = time.monotonic()
        self._store_checked_at = time.monotonic()

    @property
    def trouble(self) -> str | None:
        """What keeps it from working now."""
        return self._patience.trouble if self.started else self._patience.trouble or "has not started yet"

    @property
    def behind_seconds(self) -> float:
        """How long ago it last held all that the log held; 0 while it waits for more."""
        return 0.0 if self._waiting else time.monotonic() - self._caught_up_at

    async def run(self) -> None:
        """Until cancelled. Raises CannotGoOn, and the store's error when an outage outlasts its limit."""
        await self._patience.until_done(self._start)
        self.started = True
        while True:
            await self._step()

    async def _start(self) -> None:
        self.position = await self._projection.checkpoint()
        last_position = await self._tail.last_position()
        if self.position > last_position:
            raise CannotGoOn(
                f"The views of {self.name!r} stand at position {self.position}, the log ends at {last_position}: "
                "they are of another log. Empty the Redis database (or the search tables), or point to the right one."
            )
        await self._see_to_letters()
        self._tell()

    async def _step(self) -> None:
        page = await self._patience.until_done(lambda: self._tail.read(self.position))
        if page.events:
            await self._patience.until_done(lambda: self._feed(page.events))
        if len(page.events) < self._tail.page_size_events:
            await self._rest(page)
        if time.monotonic() - self._store_checked_at > self._store_check_seconds:
            await self._patience.until_done(self._check_store)

    async def _rest(self, page: Page) -> None:
        if page.events and self.position < page.events[-1].position:
            return  # the store lost its data: there is all to do
        self._waiting = True
        await self._tail.wait_beyond(page)
        self._waiting = False
        self._caught_up_at = time.monotonic()

    async def _check_store(self) -> None:
        """A store that lost its data while nothing happens would not be noticed by writing to it."""
        held = await self._projection.checkpoint()
        self._store_checked_at = time.monotonic()
        if held < self.position:
            await self._go_back(held)
        await self._see_to_letters()
        self._tell()

    async def _see_to_letters(self) -> None:
        if not self._letters_apart:
            await self._look_at_letters()
        elif time.monotonic() >= self._letters_due_at:
            await self._try_to_look_at_letters()

    async def _try_to_look_at_letters(self) -> None:
        """At growing intervals while their store is away: nothing waits for it."""
        try:
            await self._look_at_letters()
            self._letters_pause_seconds = 0.0
        except TRANSIENT as error:
            longer_seconds = max(self._store_check_seconds, 2 * self._letters_pause_seconds)
            self._letters_pause_seconds = min(longer_seconds, LETTERS_LONGEST_PAUSE_SECONDS)
            _log.warning("dead_letters_not_looked_at", projection=self.name, error=repr(error))
        self._letters_due_at = time.monotonic() + self._letters_pause_seconds

    async def _look_at_letters(self) -> None:
        if self._letters_known:
            await self._feeder.look_for_retries()
        else:
            await self._feeder.open()
            self._letters_known = True

    async def _feed(self, events: Sequence[Recorded]) -> None:
        up_to = events[-1].position
        try:
            await self._feeder.feed(events, up_to)
        except CheckpointLost as lost:
            await self._go_back(lost.held_position)
            return
        self.position = up_to
        self._metrics.events.labels(self.name).inc(len(events))
        self._tell()

    async def _go_back(self, held_position: int) -> None:
        _log.error("store_lost_its_data", projection=self.name, position=self.position, going_back_to=held_position)
        self._metrics.losses.labels(self.name).inc()
        self.position = await self._projection.checkpoint()
        if self._letters_apart:
            self._letters_known, self._letters_due_at = False, time.monotonic()
        else:
            await self._feeder.learn_set_aside()
        self._tell()

    def _tell(self) -> None:
        self._metrics.position.labels(self.name).set(self.position)
        self._metrics.set_aside.labels(self.name).set(self._feeder.set_aside_count)
