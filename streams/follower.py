"""Feeds one projection from the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID

import structlog

from projections.recorded import Recorded
from projections.writes import CheckpointLost
from streams.dead_letters import DeadLetter, DeadLetters
from streams.metrics import ProjectorMetrics
from streams.patience import TRANSIENT, Patience
from streams.tail import Page, Tail

_log = structlog.get_logger(__name__)
REASON_LIMIT_CHARACTERS = 500


class Projection(Protocol):
    """Events go in, in the order of the log, and come out as views. Applying an event again changes nothing."""

    @property
    def name(self) -> str: ...

    async def checkpoint(self) -> int:
        """The position up to which the store holds everything; 0 when it holds nothing."""
        ...

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        """All or nothing: the events of `batch`, and the checkpoint `up_to`, which is at or beyond the last of them."""


@runtime_checkable
class Repairable(Protocol):
    async def repair(self, stream_id: UUID) -> None:
        """Brings the views of one stream up to date from the stream itself. Raises what `apply` raises."""


class CannotGoOn(Exception):
    """The process should end: what is wrong is not a matter of trying again, nor of one event."""


class Follower:
    """Takes its projection from its checkpoint to the end of the log, and keeps it there.

    A store that does not answer is tried again (Patience). An event that cannot be applied becomes a dead letter, and
    its stream is set aside: its view stays as it was, for what comes later in the stream builds on that event. The
    other streams go on. At the next start, maybe of a repaired program, the streams set aside are tried again.
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
    ) -> None:
        self.name = projection.name
        self.position = 0
        self.started = False
        self._projection = projection
        self._tail = tail
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._patience = Patience(
            self.name, lambda: metrics.retries.labels(self.name).inc(), outage_limit_seconds=outage_limit_seconds
        )
        self._set_aside_limit_streams = set_aside_limit_streams
        self._store_check_seconds = store_check_seconds
        self._set_aside: dict[UUID, int] = {}
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
        self._set_aside = await self._dead_letters.streams_set_aside(self.name)
        for stream_id in list(self._set_aside):
            await self._try_to_repair(stream_id)
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

    async def _feed(self, events: Sequence[Recorded]) -> None:
        up_to = events[-1].position
        try:
            await self._projection.apply(self._wanted(events), up_to)
        except CheckpointLost as lost:
            await self._go_back(lost.held_position)
            return
        except TRANSIENT:
            raise
        except Exception as error:
            _log.warning("batch_failed", projection=self.name, up_to=up_to, error=repr(error))
            if not await self._feed_one_by_one(events):
                return
        self.position = up_to
        self._metrics.events.labels(self.name).inc(len(events))
        self._tell()

    async def _feed_one_by_one(self, events: Sequence[Recorded]) -> bool:
        """Finds what the batch failed for. False when the store lost its data on the way."""
        for recorded in events:
            try:
                await self._projection.apply(self._wanted([recorded]), recorded.position)
            except CheckpointLost as lost:
                await self._go_back(lost.held_position)
                return False
            except TRANSIENT:
                raise
            except Exception as error:
                await self._put_aside(recorded, error)
                await self._projection.apply([], recorded.position)
        return True

    async def _put_aside(self, recorded: Recorded, error: Exception) -> None:
        event = recorded.event
        reason = f"{type(error).__name__}: {error}"[:REASON_LIMIT_CHARACTERS]
        letter = DeadLetter(recorded.position, event.originator_id, event.originator_version, event.TOPIC, reason)
        _log.error("event_cannot_be_applied", projection=self.name, letter=letter, exc_info=error)
        if len(self._set_aside) >= self._set_aside_limit_streams:
            raise CannotGoOn(
                f"{self.name!r} has set aside {len(self._set_aside)} streams: this is no matter of single events."
            ) from error
        await self._dead_letters.put(self.name, letter)
        self._set_aside[event.originator_id] = recorded.position
        self._metrics.dead_letters.labels(self.name).inc()

    async def _try_to_repair(self, stream_id: UUID) -> None:
        if not isinstance(self._projection, Repairable):
            _log.error("stream_set_aside", projection=self.name, stream_id=str(stream_id))
            return
        try:
            await self._projection.repair(stream_id)
        except TRANSIENT:
            raise
        except Exception as error:
            _log.error("stream_set_aside", projection=self.name, stream_id=str(stream_id), error=repr(error))
            return
        await self._dead_letters.take_back(self.name, stream_id)
        del self._set_aside[stream_id]
        _log.info("stream_repaired", projection=self.name, stream_id=str(stream_id))

    async def _go_back(self, held_position: int) -> None:
        _log.error("store_lost_its_data", projection=self.name, position=self.position, going_back_to=held_position)
        self._metrics.losses.labels(self.name).inc()
        self.position = await self._projection.checkpoint()
        self._set_aside = await self._dead_letters.streams_set_aside(self.name)
        self._tell()

    def _wanted(self, events: Sequence[Recorded]) -> list[Recorded]:
        return [recorded for recorded in events if recorded.event.originator_id not in self._set_aside]

    def _tell(self) -> None:
        self._metrics.position.labels(self.name).set(self.position)
        self._metrics.set_aside.labels(self.name).set(len(self._set_aside))
