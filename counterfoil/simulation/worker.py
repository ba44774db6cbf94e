"""The worker: the product's own agents take the bus's topics into the read models, and are begun again when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from commandside.event_store.mapper import EventMapper
from counterfoil.simulation.bus import PARTITIONS_COUNT, Bus
from counterfoil.simulation.read_models import VIEW_NAMES, ReadModels
from counterfoil.simulation.world import World
from projections.generations import Fed
from projections.keys import Keys
from projections.recorded import Recorded
from projections.writes import CheckpointLost
from streams.agents import Share, ViewAgent
from streams.dead_letters import DeadLetter
from streams.faust_chunks import Chunk
from streams.topics import TOPIC_OF_KIND, kafka_topic

CHUNK_LIMIT_RECORDS: Final = 100
LONGEST_POLL_SECONDS: Final = 4.0
_MAPPER: Final = EventMapper()


class Worker:
    """`faults` are what an agent gave up over, or set aside: none is expected."""

    def __init__(self, world: World, bus: Bus, models: ReadModels) -> None:
        self.faults: list[str] = []
        self._world = world
        self._bus = bus
        self._store = {view: _Store(models, view, self.faults) for view in VIEW_NAMES}
        self._generation = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._streams: list[_Stream] = []

    @property
    def has_taken_all(self) -> bool:
        return bool(self._streams) and all(stream.is_at_end for stream in self._streams)

    async def start(self) -> None:
        self._generation += 1
        self._streams = []
        for view, store in self._store.items():
            topic = TOPIC_OF_KIND[view]
            agent = ViewAgent(
                Share(view, topic, PARTITIONS_COUNT),
                store,
                store,  # type: ignore[arg-type]
                _SILENT,
                self._send,
                self._give_up,
                _TopicLog(self._world, topic),
            )
            await agent.prepare()
            beginnings = [await self._beginning(agent, topic, n) for n in range(PARTITIONS_COUNT)]
            stream = _Stream(self._world, self._bus, topic, beginnings, self._generation)
            self._streams.append(stream)
            agent.keep_only(range(PARTITIONS_COUNT))
            for work in (agent.take(stream), agent.keep(lambda _: None)):  # type: ignore[arg-type]
                self._tasks.append(self._world.loop.create_task(work, context=Context()))

    def die(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._streams = []

    async def _beginning(self, agent: ViewAgent, topic: str, number: int) -> int:
        """Where the store says, or what was read before comes again; never before what the bus still has."""
        known = (await agent.beginnings())[agent.share.partition(number)]
        first_offset = self._bus.partitions[topic, number].first_offset
        older = self._world.dice.choice((0, 0, 5, 50))
        return first_offset if known is None else max(first_offset, known - older)

    async def _send(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[str, bytes]) -> None:
        self.faults.append(f"a message was put aside: {topic} {headers!r}")

    def _give_up(self, error: BaseException) -> None:
        self.faults.append(f"a worker gave up: {error!r}")


@dataclass(slots=True)
class _TaskMessage:
    """What an agent reads of Faust's message."""

    partition: int
    generation_id: int
    value: Chunk


@dataclass(slots=True)
class _TaskEvent:
    message: _TaskMessage

    def ack(self) -> None:
        """Who watches the consumer's lag is not here."""


class _Stream:
    """Of one topic, chunk by chunk: in order within a partition, in any between them."""

    def __init__(self, world: World, bus: Bus, topic: str, beginnings: Sequence[int], generation: int) -> None:
        self._world = world
        self._bus = bus
        self._topic = topic
        self._partitions = [bus.partitions[topic, number] for number in range(PARTITIONS_COUNT)]
        self._next_offsets = list(beginnings)
        self._generation = generation
        self._is_busy = False

    @property
    def is_at_end(self) -> bool:
        ends = [partition.end_offset for partition in self._partitions]
        return not self._is_busy and self._next_offsets == ends

    def noack(self) -> _Stream:
        return self

    async def events(self) -> AsyncIterator[_TaskEvent]:
        dice = self._world.dice
        while True:
            unread = [n for n, one in enumerate(self._partitions) if self._next_offsets[n] < one.end_offset]
            if not unread:
                await self._bus.wait(self._topic)
                await asyncio.sleep(dice.random() * LONGEST_POLL_SECONDS)
                continue
            number = dice.choice(unread)
            self._is_busy = True
            yield _TaskEvent(self._chunk(number, dice.randint(1, CHUNK_LIMIT_RECORDS)))
            self._is_busy = False

    def _chunk(self, number: int, limit: int) -> _TaskMessage:
        first = self._next_offsets[number]
        messages = self._partitions[number].read(first, limit)
        last = self._next_offsets[number] = first + len(messages)
        values: list[bytes | None] = [message.value for message in messages]
        chunk = Chunk(first, last - 1, values, [message.key for message in messages], list(range(first, last)))
        return _TaskMessage(number, self._generation, chunk)


class _Store:
    """What Valkey holds of one view beside it: checkpoints and places. Feeds and StoredPlaces in one."""

    def __init__(self, models: ReadModels, view: str, faults: list[str]) -> None:
        self.models = models
        self.view = view
        self.checkpoints: dict[str, int] = {}
        self._fed = Fed(view, 1, view)
        self._offsets: dict[str, int] = {}
        self._letters = _Letters(faults)

    async def wanted(self) -> list[Fed]:
        return [self._fed]

    async def say_fed(self, fed: Sequence[Fed]) -> None:
        """Nobody builds them anew here."""

    def projection(self, fed: Fed, partition: str = "0") -> _Projection:
        return _Projection(self, partition)

    def dead_letters(self, fed: Fed) -> _Letters:
        return self._letters

    async def prepare(self, keys: Keys, projection: str, partitions: Collection[str]) -> None:
        for partition in partitions:
            self.checkpoints.setdefault(partition, 0)

    async def offsets(self, keys: Keys, projection: str, partitions: Collection[str]) -> dict[str, int | None]:
        return {name: self._offsets.get(name) for name in partitions}

    async def write(self, keys: Keys, projection: str, places: Mapping[str, tuple[int, int]]) -> str | None:
        for name, (position, _) in places.items():
            if self.checkpoints[name] < position:
                return name
        self._offsets.update({name: offset for name, (_, offset) in places.items()})
        return None


class _Letters:
    """DeadMessages, none of which is expected."""

    def __init__(self, faults: list[str]) -> None:
        self._faults = faults

    async def put(self, projection: str, letter: DeadLetter) -> None:
        self._faults.append(f"{projection} set a stream aside: {letter}")

    async def keep(self, projection: str, letter: DeadLetter) -> None:
        self._faults.append(f"{projection} kept a letter: {letter}")

    async def letters(self, projection: str) -> list[DeadLetter]:
        return []

    async def streams_set_aside(self, projection: str) -> dict[UUID, int]:
        return {}

    async def take_back(self, projection: str, stream_id: UUID) -> None:
        """There is none."""

    async def want_retry(self, projection: str, stream_id: UUID) -> None:
        """Nobody asks for one."""

    async def retries_wanted(self, projection: str) -> set[UUID]:
        return set()

    async def retry_done(self, projection: str, stream_id: UUID) -> None:
        """Nobody asked for one."""

    async def drop(self, projection: str, stream_id: UUID) -> int:
        return 0


class _Projection:
    """A batch and its checkpoint are one step, as ViewProjection's are one script."""

    def __init__(self, store: _Store, partition: str) -> None:
        self.name = store.view
        self._store = store
        self._partition = partition
        self._position = 0

    async def checkpoint(self) -> int:
        self._position = self._store.checkpoints.get(self._partition, 0)
        return self._position

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        held = self._store.checkpoints.get(self._partition, 0)
        if held < self._position:
            raise CheckpointLost(self.name, self._position, held)
        for _, event in batch:
            self._store.models.apply(event, self.name)
        self._position = self._store.checkpoints[self._partition] = max(held, up_to)


class _TopicLog:
    def __init__(self, world: World, topic: str) -> None:
        self._world = world
        self._topic = topic

    async def window(self, after: int, up_to: int) -> list[Recorded]:
        rows = [row for row in self._world.log.rows[after:up_to] if kafka_topic(row[3]) == self._topic]
        return _MAPPER.read_page(rows)


class _Silent:
    """Takes whatever a worker's metrics take."""

    def __getattr__(self, name: str) -> _Silent:
        return self

    def __call__(self, *_: Any, **__: Any) -> _Silent:
        return self


_SILENT: Final[Any] = _Silent()
