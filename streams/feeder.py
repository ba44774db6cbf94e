"""Gives events to one projection; what cannot be applied is put aside, so that the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable
from uuid import UUID

import structlog

from projections.recorded import Recorded
from projections.writes import CheckpointLost
from streams.dead_letters import DeadLetter, DeadLetters
from streams.metrics import ProjectorMetrics
from streams.patience import TRANSIENT

_log = structlog.get_logger(__name__)
REASON_LIMIT_CHARACTERS = 500
_OF_THE_STORE: tuple[type[Exception], ...] = (*TRANSIENT, CheckpointLost)


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


def _every_stream(_: UUID) -> bool:
    return True


class Feeder:
    """An event that cannot be applied becomes a dead letter, and its stream is set aside.

    Its view stays as it was, for what comes later in the stream builds on that event. The other streams go on. The
    streams set aside are tried again by `open`, at the next start of a maybe repaired program, and when somebody asks
    for it (`look_for_retries`). `is_mine` says which streams' events come here, where it is not all.
    `letters_timeout_seconds`: how long it may take to ask about letters, where the client's own limit is too long. To
    write one may take longer: nothing goes on without it.
    Every method raises the store's errors (patience.TRANSIENT), after which it can be called again.
    """

    def __init__(
        self,
        projection: Projection,
        dead_letters: DeadLetters,
        metrics: ProjectorMetrics,
        *,
        name: str,
        set_aside_limit_streams: int = 100,
        is_mine: Callable[[UUID], bool] = _every_stream,
        letters_timeout_seconds: float | None = None,
    ) -> None:
        self.name = name
        self.projection = projection
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._set_aside_limit_streams = set_aside_limit_streams
        self._is_mine = is_mine
        self._letters_timeout_seconds = letters_timeout_seconds
        self._set_aside: set[UUID] = set()

    @property
    def set_aside_count(self) -> int:
        return len(self._set_aside)

    async def open(self) -> None:
        """Learns which streams are set aside, and tries them again."""
        await self.learn_set_aside()
        for stream_id in list(self._set_aside):
            await self._try_to_repair(stream_id)

    async def learn_set_aside(self) -> None:
        async with asyncio.timeout(self._letters_timeout_seconds):
            kept = await self._dead_letters.streams_set_aside(self.projection.name)
        self._set_aside = {stream_id for stream_id in kept if self._is_mine(stream_id)}

    async def look_for_retries(self) -> None:
        """Tries the streams again that somebody wants tried."""
        async with asyncio.timeout(self._letters_timeout_seconds):
            wanted = await self._dead_letters.retries_wanted(self.projection.name)
        for stream_id in wanted:
            if self._is_mine(stream_id):
                if stream_id in self._set_aside:
                    await self._try_to_repair(stream_id)
                await self._dead_letters.retry_done(self.projection.name, stream_id)

    async def feed(self, events: Sequence[Recorded], up_to: int) -> None:
        """All events from the checkpoint to `up_to`. Raises CheckpointLost; CannotGoOn when too much is set aside."""
        try:
            await self.projection.apply(self._wanted(events), up_to)
        except _OF_THE_STORE:
            raise
        except Exception as error:
            _log.warning("batch_failed", projection=self.name, up_to=up_to, error=repr(error))
            await self._feed_one_by_one(events)
            await self.projection.apply([], up_to)

    async def put_aside(self, letter: DeadLetter, error: Exception) -> None:
        """Sets the letter's stream aside, where it is not yet. Raises CannotGoOn when too many are."""
        if letter.stream_id in self._set_aside:
            return
        _log.error("event_cannot_be_applied", projection=self.name, letter=letter, exc_info=error)
        if len(self._set_aside) >= self._set_aside_limit_streams:
            raise CannotGoOn(
                f"{self.name!r} has set aside {len(self._set_aside)} streams: this is no matter of single events."
            ) from error
        await self._dead_letters.put(self.projection.name, letter)
        self._set_aside.add(letter.stream_id)
        self._metrics.dead_letters.labels(self.name).inc()

    async def _feed_one_by_one(self, events: Sequence[Recorded]) -> None:
        """Finds what the batch failed for."""
        for recorded in events:
            try:
                await self.projection.apply(self._wanted([recorded]), recorded.position)
            except _OF_THE_STORE:
                raise
            except Exception as error:
                await self._put_aside(recorded, error)
                await self.projection.apply([], recorded.position)

    async def _put_aside(self, recorded: Recorded, error: Exception) -> None:
        event = recorded.event
        reason = f"{type(error).__name__}: {error}"[:REASON_LIMIT_CHARACTERS]
        letter = DeadLetter(recorded.position, event.originator_id, event.originator_version, event.TOPIC, reason)
        await self.put_aside(letter, error)

    async def _try_to_repair(self, stream_id: UUID) -> None:
        if not isinstance(self.projection, Repairable):
            _log.error("stream_set_aside", projection=self.name, stream_id=str(stream_id))
            return
        try:
            await self.projection.repair(stream_id)
        except TRANSIENT:
            raise
        except Exception as error:
            _log.error("stream_set_aside", projection=self.name, stream_id=str(stream_id), error=repr(error))
            return
        await self._dead_letters.take_back(self.projection.name, stream_id)
        self._set_aside.discard(stream_id)
        _log.info("stream_repaired", projection=self.name, stream_id=str(stream_id))

    def _wanted(self, events: Sequence[Recorded]) -> Sequence[Recorded]:
        if not self._set_aside:
            return events
        return [recorded for recorded in events if recorded.event.originator_id not in self._set_aside]
