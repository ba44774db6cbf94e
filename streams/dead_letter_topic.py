"""Messages that could not be applied, for whoever watches Kafka: as they came, with the reason beside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from streams.chunk_reading import raw_event
from streams.dead_letters import DeadLetter, DeadLetters

SUFFIX: Final = "-dead-letters"

# To a topic: key, value, and headers. Returns when Kafka has it; raises StoreUnavailable.
Send = Callable[[str, bytes | None, bytes, Mapping[str, bytes]], Awaitable[None]]


class TopicDeadLetters:
    """DeadLetters that also sends the message to `<topic>-dead-letters`; the bookkeeping is that of `kept`.

    Headers: `projection`, `reason`, `position`. A message may be sent twice.
    """

    def __init__(self, kept: DeadLetters, topic: str, send: Send) -> None:
        self._kept = kept
        self._topic = topic
        self._send = send
        self.present: Sequence[bytes] = ()
        """The messages that are being applied just now."""

    async def put(self, projection: str, letter: DeadLetter) -> None:
        message = raw_event(self.present, letter.position)
        if message is not None:
            await self.send_away(projection, message, letter.reason, str(letter.stream_id).encode(), letter.position)
        await self._kept.put(projection, letter)

    async def send_away(
        self, projection: str, message: bytes, reason: str, key: bytes | None = None, position: int | None = None
    ) -> None:
        headers = {"projection": projection.encode(), "reason": reason.encode()}
        if position is not None:
            headers["position"] = b"%d" % position
        await self._send(self._topic + SUFFIX, key, message, headers)

    async def letters(self, projection: str) -> list[DeadLetter]:
        return await self._kept.letters(projection)

    async def streams_set_aside(self, projection: str) -> dict[UUID, int]:
        return await self._kept.streams_set_aside(projection)

    async def take_back(self, projection: str, stream_id: UUID) -> None:
        await self._kept.take_back(projection, stream_id)

    async def want_retry(self, projection: str, stream_id: UUID) -> None:
        await self._kept.want_retry(projection, stream_id)

    async def retries_wanted(self, projection: str) -> set[UUID]:
        return await self._kept.retries_wanted(projection)

    async def retry_done(self, projection: str, stream_id: UUID) -> None:
        await self._kept.retry_done(projection, stream_id)

    async def drop(self, projection: str, stream_id: UUID) -> int:
        return await self._kept.drop(projection, stream_id)
