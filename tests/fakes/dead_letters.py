from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from streams.dead_letters import LETTERS_LIMIT_COUNT, DeadLetter


class MemoryDeadLetters:
    """streams.dead_letters.DeadLetters in memory."""

    def __init__(self) -> None:
        self._letters: dict[str, list[DeadLetter]] = defaultdict(list)
        self._aside: dict[str, dict[UUID, int]] = defaultdict(dict)
        self._retries: dict[str, set[UUID]] = defaultdict(set)

    async def put(self, projection: str, letter: DeadLetter) -> None:
        self._letters[projection] = [letter, *self._letters[projection]][:LETTERS_LIMIT_COUNT]
        self._aside[projection][letter.stream_id] = letter.position

    async def letters(self, projection: str) -> list[DeadLetter]:
        return list(self._letters[projection])

    async def streams_set_aside(self, projection: str) -> dict[UUID, int]:
        return dict(self._aside[projection])

    async def take_back(self, projection: str, stream_id: UUID) -> None:
        self._aside[projection].pop(stream_id, None)

    async def want_retry(self, projection: str, stream_id: UUID) -> None:
        self._retries[projection].add(stream_id)

    async def retries_wanted(self, projection: str) -> set[UUID]:
        return set(self._retries[projection])

    async def retry_done(self, projection: str, stream_id: UUID) -> None:
        self._retries[projection].discard(stream_id)

    async def drop(self, projection: str, stream_id: UUID) -> int:
        before = self._letters[projection]
        self._letters[projection] = [letter for letter in before if letter.stream_id != stream_id]
        return len(before) - len(self._letters[projection])
