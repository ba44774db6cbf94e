"""Events that could not be applied: put aside with the reason, never dropped in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, cast
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from projections.keys import Keys

LETTERS_LIMIT_COUNT = 1_000


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which event, where it stands in the log, and what was raised.

    Of a Kafka message that is no event of ours (`is_of_a_stream` is false), `topic` is Kafka's, and `stream_id` only a
    name to drop it by. `message`: the beginning of what came from Kafka, where it could not be read.
    """

    position: int
    stream_id: UUID
    version: int
    topic: str
    reason: str
    message: str | None = None

    @property
    def is_of_a_stream(self) -> bool:
        return self.version > 0


class DeadLetters(Protocol):
    """The letters of each projection, and the streams that it leaves alone because of them."""

    async def put(self, projection: str, letter: DeadLetter) -> None:
        """Keeps the letter (of very many, the latest) and sets its stream aside."""

    async def letters(self, projection: str) -> list[DeadLetter]:
        """Newest first."""
        ...

    async def streams_set_aside(self, projection: str) -> dict[UUID, int]:
        """Each with the position of the event that stopped it."""
        ...

    async def take_back(self, projection: str, stream_id: UUID) -> None:
        """The stream could be applied after all."""

    async def want_retry(self, projection: str, stream_id: UUID) -> None:
        """Whoever feeds the projection is to try the stream again."""

    async def retries_wanted(self, projection: str) -> set[UUID]: ...

    async def retry_done(self, projection: str, stream_id: UUID) -> None:
        """It was tried; whether it went well, `streams_set_aside` says."""

    async def drop(self, projection: str, stream_id: UUID) -> int:
        """Removes the letters of one stream, and answers how many. What is set aside stays so."""
        ...


class DeadMessages(DeadLetters, Protocol):
    """Of whoever reads messages that may be anybody's, and of no stream at all."""

    async def keep(self, projection: str, letter: DeadLetter) -> None:
        """Keeps the letter, once, and sets nothing aside."""


@dataclass(frozen=True, slots=True)
class RedisDeadLetters:
    """Beside the views: whoever loses those replays everything, and meets the same events again."""

    redis: Redis
    keys: Keys = field(default_factory=Keys)

    async def put(self, projection: str, letter: DeadLetter) -> None:
        list_key = self.keys.dead_letters(projection)
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.lpush(list_key, msgspec.json.encode(letter))
            pipeline.ltrim(list_key, 0, LETTERS_LIMIT_COUNT - 1)
            pipeline.hset(self.keys.set_aside(projection), str(letter.stream_id), str(letter.position))
            await pipeline.execute()

    async def keep(self, projection: str, letter: DeadLetter) -> None:
        list_key, encoded = self.keys.dead_letters(projection), msgspec.json.encode(letter)
        async with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.lrem(list_key, 0, cast(str, encoded))
            pipeline.lpush(list_key, encoded)
            pipeline.ltrim(list_key, 0, LETTERS_LIMIT_COUNT - 1)
            await pipeline.execute()

    async def letters(self, projection: str) -> list[DeadLetter]:
        stored = await self.redis.lrange(self.keys.dead_letters(projection), 0, LETTERS_LIMIT_COUNT - 1)
        return [msgspec.json.decode(letter, type=DeadLetter) for letter in stored]

    async def streams_set_aside(self, projection: str) -> dict[UUID, int]:
        stored = cast(dict[bytes, bytes], await self.redis.hgetall(self.keys.set_aside(projection)))
        return {UUID(stream_id.decode()): int(position) for stream_id, position in stored.items()}

    async def take_back(self, projection: str, stream_id: UUID) -> None:
        await self.redis.hdel(self.keys.set_aside(projection), str(stream_id))

    async def want_retry(self, projection: str, stream_id: UUID) -> None:
        await self.redis.sadd(self.keys.retries(projection), str(stream_id))

    async def retries_wanted(self, projection: str) -> set[UUID]:
        stored = cast(set[bytes], await self.redis.smembers(self.keys.retries(projection)))
        return {UUID(stream_id.decode()) for stream_id in stored}

    async def retry_done(self, projection: str, stream_id: UUID) -> None:
        await self.redis.srem(self.keys.retries(projection), str(stream_id))

    async def drop(self, projection: str, stream_id: UUID) -> int:
        list_key, dropped_count = self.keys.dead_letters(projection), 0
        for stored in await self.redis.lrange(list_key, 0, LETTERS_LIMIT_COUNT - 1):
            if msgspec.json.decode(stored, type=DeadLetter).stream_id == stream_id:
                dropped_count += await self.redis.lrem(list_key, 1, cast(str, stored))
        return dropped_count
