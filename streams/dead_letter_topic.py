"""Messages that could not be applied, for whoever watches Kafka: as they came, with the reason beside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from streams.chunk_reading import raw_event
from streams.dead_letters import DeadLetter, DeadMessages

SUFFIX: Final = "-dead-letters"
# Of what is kept beside the letter; the whole message is in Kafka's topic.
MESSAGE_LIMIT_CHARACTERS: Final = 2_000
KEY_LIMIT_CHARACTERS: Final = 100

# To a topic: key, value, and headers. Returns when Kafka has it; raises StoreUnavailable.
Send = Callable[[str, bytes | None, bytes, Mapping[str, bytes]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in Kafka a message stands."""

    topic: str
    partition: int
    offset: int
    key: bytes | None

    def __str__(self) -> str:
        key = "no key" if self.key is None else f"key {_text(self.key, KEY_LIMIT_CHARACTERS)}"
        return f"{self.topic}, partition {self.partition}, offset {self.offset}, {key}"

    @property
    def headers(self) -> dict[str, bytes]:
        return {"topic": self.topic.encode(), "partition": b"%d" % self.partition, "offset": b"%d" % self.offset}

    def letter(self, message: bytes, reason: str) -> DeadLetter:
        """Of a message that is of no stream. The same again for the same one."""
        name = uuid5(NAMESPACE_URL, f"kafka:{self.topic}:{self.partition}:{self.offset}")
        return DeadLetter(0, name, 0, self.topic, f"{reason} ({self})", shown(message))


def shown(message: bytes) -> str:
    """The beginning of it, as text."""
    return _text(message, MESSAGE_LIMIT_CHARACTERS)


def _text(value: bytes, limit: int) -> str:
    return value[:limit].decode(errors="backslashreplace")[:limit]


class TopicDeadLetters:
    """DeadLetters that also sends the message to `<topic>-dead-letters`; the bookkeeping is that of `kept`.

    Headers: `projection`, `reason`, `position` of an event; of what cannot be read also `topic`, `partition`, `offset`.
    A message may be sent twice.
    """

    def __init__(self, kept: DeadMessages, topic: str, send: Send) -> None:
        self._kept = kept
        self._topic = topic
        self._send = send
        self.present: Sequence[bytes | None] = ()
        """The messages that are being applied just now."""

    async def put(self, projection: str, letter: DeadLetter) -> None:
        message = raw_event(self.present, letter.position)
        if message is not None:
            headers = {"position": b"%d" % letter.position}
            await self._send_away(projection, message, letter.reason, str(letter.stream_id).encode(), headers)
        await self._kept.put(projection, letter)

    async def put_message(self, projection: str, message: bytes, reason: str, origin: Origin) -> None:
        """A message that is of no stream."""
        await self._send_away(projection, message, reason, origin.key, origin.headers)
        await self._kept.keep(projection, origin.letter(message, reason))

    async def keep(self, projection: str, letter: DeadLetter) -> None:
        await self._kept.keep(projection, letter)

    async def _send_away(
        self, projection: str, message: bytes, reason: str, key: bytes | None, headers: Mapping[str, bytes]
    ) -> None:
        about = {"projection": projection.encode(), "reason": reason.encode(errors="replace")}
        await self._send(self._topic + SUFFIX, key, message, {**about, **headers})

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
