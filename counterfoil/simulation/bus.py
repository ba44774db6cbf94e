"""The message bus: topics in partitions, each of which keeps its order, and what is sent for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from streams.agents import Share
from streams.topics import TOPICS

PARTITIONS_COUNT: Final = 2


class Message(NamedTuple):
    key: bytes | None
    value: bytes


@dataclass(slots=True)
class Partition:
    """`messages` from offset `first_offset` on: what was before is forgotten."""

    messages: list[Message] = field(default_factory=list)
    first_offset: int = 0

    @property
    def end_offset(self) -> int:
        return self.first_offset + len(self.messages)

    def read(self, offset: int, limit: int) -> Sequence[Message]:
        start = offset - self.first_offset
        return self.messages[start : start + limit]

    def forget(self, up_to_offset: int) -> None:
        dropped_count = max(0, up_to_offset - self.first_offset)
        del self.messages[:dropped_count]
        self.first_offset += dropped_count


class Bus:
    """Between partitions there is no order. Until `away_until_seconds` nothing arrives."""

    def __init__(self) -> None:
        self.partitions = {(topic, number): Partition() for topic in TOPICS for number in range(PARTITIONS_COUNT)}
        self.away_until_seconds = 0.0
        self._shares = {topic: Share("", topic, PARTITIONS_COUNT) for topic in TOPICS}
        self._numbers: dict[bytes, int] = {}
        self._arrived: dict[str, asyncio.Event] = {topic: asyncio.Event() for topic in TOPICS}

    def number_of(self, topic: str, key: bytes) -> int:
        """The partition of a stream, as all clients reckon it."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._shares[topic].number_of(key.decode())  # type: ignore[arg-type]
        return number

    def arrive(self, topic: str, number: int, messages: Sequence[Message]) -> None:
        self.partitions[topic, number].messages += messages
        self._arrived[topic].set()

    async def wait(self, topic: str) -> None:
        """Until more has come to this topic."""
        arrived = self._arrived[topic]
        arrived.clear()
        # unbounded: who reads a topic to which nothing comes has nothing to do
        await arrived.wait()
