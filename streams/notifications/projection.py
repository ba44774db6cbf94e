"""Finds in the log what customers are to be told, and puts it into the outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from redis.asyncio import Redis

from projections.keys import Keys
from projections.notifications.wording import KINDS
from projections.recorded import AnyEvent, Recorded
from projections.view_projection import STREAM_PAGE_EVENTS, Streams
from projections.writes import Checkpoint
from streams.notifications.outbox import Notice, Outbox

NAME: Final = "notifications"
# A note that a letter was posted outlives the time in which its event is young enough to be written about.
_CLOCKS_DIFFER_BY: Final = timedelta(hours=1)
_log = structlog.get_logger(__name__)


class NotificationProjection:
    """Nothing is sent from here: a mail server that is slow or away must not hold back who reads the log.

    Begins at the end of the log (`log_end`), the first time, and passes over what is older than `history`: neither a
    first start, nor a rebuild, nor the topics read again from their beginning write to everybody.
    """

    name = NAME

    def __init__(
        self,
        redis: Redis,
        streams: Streams,
        log_end: Callable[[], Awaitable[int]],
        now: Callable[[], datetime],
        history: timedelta,
        keys: Keys | None = None,
        partition: str = "0",
    ) -> None:
        self._streams = streams
        self._log_end = log_end
        self._now = now
        self._history = history
        self._partition = partition
        self._checkpoint_key = (keys or Keys()).checkpoint(NAME)
        self._outbox = Outbox(redis)
        self._position = 0
        self._since = 0

    async def checkpoint(self) -> int:
        """The position up to which all is posted that is to be. Raises what `log_end` raises, too."""
        self._since = await self._outbox.settle_since(self._log_end)
        self._position = await self._outbox.begin(self._checkpoint_key, self._partition, self._since)
        return self._position

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        """Raises CheckpointLost, and redis' errors. Then it can be applied again."""
        await self._post((each.event for each in batch if each.position > self._since), up_to)

    async def repair(self, stream_id: UUID) -> None:
        """Posts what is young enough and was not posted. Raises what `apply` raises."""
        version = 0
        while events := await self._streams.read_stream(stream_id, version, STREAM_PAGE_EVENTS):
            await self._post(events, self._position)
            version = events[-1].originator_version

    async def _post(self, events: Iterable[AnyEvent], up_to: int) -> None:
        now = self._now()
        notices = [
            Notice(event.originator_id, event.originator_version)
            for event in events
            if type(event) in KINDS and now - event.timestamp < self._history
        ]
        checkpoint = Checkpoint(NAME, self._checkpoint_key, self._partition, self._position, up_to)
        self._position, turned_away_count = await self._outbox.post(
            notices, checkpoint, now, self._history + _CLOCKS_DIFFER_BY
        )
        if turned_away_count:
            _log.error("no_room_in_the_outbox", letters_count=turned_away_count)
