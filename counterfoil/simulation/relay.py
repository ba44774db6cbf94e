"""The relay: who leads sends every event of the log to the bus, from the position that was saved last.

Envelopes, topics, keys and marks are the product's own. That there is one leader, and what it does with what was
delivered, is told after streams/relay: those are made of connections to Postgres and Kafka.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

from counterfoil.simulation.bus import PARTITIONS_COUNT, Bus, Message
from counterfoil.simulation.world import World
from streams.envelope import encode, encode_marker
from streams.topics import TOPICS

PAGE_EVENTS: Final = 500
BEAT_SECONDS: Final = 3.0
SAVE_INTERVAL_SECONDS: Final = 8.0
LONGEST_WAY_SECONDS: Final = 3.0


class Relay:
    """One leader after another: the next begins where the one before had saved, and sends again what came after that.

    What the old one had sent may arrive among what the new one sends. `saved_position`: the bus has all up to there.
    """

    def __init__(self, world: World, bus: Bus) -> None:
        self.saved_position = 0
        self._world = world
        self._bus = bus
        self._term: _Term | None = None
        self._leads_from_seconds = 0.0

    @property
    def has_sent_all(self) -> bool:
        term = self._term
        return term is not None and term.marked == term.delivered == len(self._world.log.rows)

    async def run(self) -> None:
        while True:
            if self._term is None and self._world.now_seconds >= self._leads_from_seconds:
                self._term = _Term(self._world, self._bus, self.saved_position)
            if self._term is not None:
                self._term.send()
                self.saved_position = max(self.saved_position, self._term.saved)
            await asyncio.sleep(BEAT_SECONDS)

    def change_leader(self, after_seconds: float) -> None:
        if self._term is not None:
            self._term.die()
        self._term = None
        self._leads_from_seconds = self._world.now_seconds + after_seconds


class _Term:
    """`sent` and `marked`: up to there; `delivered`: the bus has it; `saved`: and Postgres knows."""

    def __init__(self, world: World, bus: Bus, position: int) -> None:
        self.sent = self.delivered = self.saved = position
        self.marked = 0  # whoever led before may have died between an event and its mark
        self._world = world
        self._bus = bus
        # By partition, what is on its way there, in order, each with the batch that it is of. None: nothing more comes.
        self._on_the_way: dict[tuple[str, int], deque[tuple[list[Message], _Batch]] | None] = {
            (topic, number): deque() for topic in TOPICS for number in range(PARTITIONS_COUNT)
        }
        self._batches: deque[_Batch] = deque()
        self._saved_at_seconds = 0.0
        self._is_alive = True

    def send(self) -> None:
        rows = self._world.log.rows[self.sent : self.sent + PAGE_EVENTS]
        if rows or self.marked < self.sent:
            messages: dict[tuple[str, int], list[Message]] = defaultdict(list)
            for row in rows:
                envelope = encode(row)
                if envelope is not None:
                    number = self._bus.number_of(envelope.kafka_topic, envelope.key)
                    messages[envelope.kafka_topic, number].append(Message(envelope.key, envelope.value))
            self.sent += len(rows)
            self.marked = self.sent
            mark = Message(None, encode_marker(self.sent))
            batch = _Batch(self.sent, len(self._on_the_way))
            self._batches.append(batch)
            for place in self._on_the_way:
                self._send(place, [*messages[place], mark], batch)
        if self._world.now_seconds >= self._saved_at_seconds + SAVE_INTERVAL_SECONDS:
            self.saved, self._saved_at_seconds = self.delivered, self._world.now_seconds

    def die(self) -> None:
        """What is on its way to a partition arrives there up to some message, and nothing after it."""
        self._is_alive = False

    def _send(self, place: tuple[str, int], messages: list[Message], batch: _Batch) -> None:
        queue = self._on_the_way[place]
        assert queue is not None, "a leader that is dead sends nothing"
        queue.append((messages, batch))
        way_seconds = self._world.dice.random() ** 4 * LONGEST_WAY_SECONDS
        at_seconds = max(self._world.now_seconds + way_seconds, self._bus.away_until_seconds)
        self._world.loop.call_at(at_seconds, self._arrive, place)

    def _arrive(self, place: tuple[str, int]) -> None:
        queue = self._on_the_way[place]
        if queue is None:
            return
        messages, batch = queue.popleft()
        if not self._is_alive:
            kept_count = self._world.dice.randint(0, len(messages))
            if kept_count < len(messages):
                self._on_the_way[place] = None
            messages = messages[:kept_count]
        self._bus.arrive(*place, messages)
        batch.waiting_for_count -= 1
        while self._batches and self._batches[0].waiting_for_count == 0:
            self.delivered = self._batches.popleft().position


@dataclass(slots=True)
class _Batch:
    """The events up to `position`, and how many partitions have still to say that they have theirs."""

    position: int
    waiting_for_count: int
