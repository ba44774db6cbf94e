"""The projector with projections that misbehave in ways of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from domain.identity import stock_stream
from projections.recorded import Recorded
from streams.metrics import ProjectorMetrics
from streams.projector import Projector
from tests.fakes.dead_letters import MemoryDeadLetters
from tests.fakes.log import MemoryLog
from tests.integration.readside.shop import collected, stock
from tests.waiting import eventually


class Tally:
    """A projection that notes what it is given; `before` may raise first."""

    def __init__(self, name: str = "tally", position: int = 0) -> None:
        self.name = name
        self.position = position
        self.given: list[int] = []
        self.batches: list[int] = []
        self.before: Callable[[Sequence[Recorded]], None] = lambda batch: None

    async def checkpoint(self) -> int:
        return self.position

    async def apply(self, batch: Sequence[Recorded], up_to: int) -> None:
        self.before(batch)
        self.given += [recorded.position for recorded in batch]
        self.batches.append(len(batch))
        self.position = up_to


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog([event for n in range(10) for event in collected(stock(f"sku-{n}"))])


@pytest.fixture
def dead_letters() -> MemoryDeadLetters:
    return MemoryDeadLetters()


@asynccontextmanager
async def running(
    log: MemoryLog, dead_letters: MemoryDeadLetters, *projections: Tally, batch_size_events: int = 4
) -> AsyncIterator[Projector]:
    metrics = ProjectorMetrics(CollectorRegistry())
    projector = Projector(
        log, projections, dead_letters, metrics, batch_size_events=batch_size_events, poll_seconds=0.01
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(projector.run())
        yield projector
        task.cancel()


def position(projection: Tally) -> Callable[[], Awaitable[int]]:
    return projection.checkpoint


async def test_everything_is_given_once_in_order_and_in_batches_of_the_size(
    log: MemoryLog, dead_letters: MemoryDeadLetters
) -> None:
    tally = Tally()
    async with running(log, dead_letters, tally):
        await eventually(position(tally), lambda reached: reached == 20)
        log.append(*collected(stock("late")))
        await eventually(position(tally), lambda reached: reached == 22)
    assert tally.given == list(range(1, 23))
    assert max(tally.batches) == 4


async def test_a_projection_that_is_ahead_is_not_given_what_it_has(
    log: MemoryLog, dead_letters: MemoryDeadLetters
) -> None:
    behind, ahead = Tally("behind", 3), Tally("ahead", 17)
    async with running(log, dead_letters, behind, ahead):
        await eventually(position(behind), lambda reached: reached == 20)
        await eventually(position(ahead), lambda reached: reached == 20)
    assert behind.given == list(range(4, 21))
    assert ahead.given == [18, 19, 20]


async def test_a_store_that_fails_for_a_while_costs_nothing_but_time(
    log: MemoryLog, dead_letters: MemoryDeadLetters
) -> None:
    tally, failures = Tally(), iter([OSError("away"), TimeoutError("slow")])

    def fail(_: Sequence[Recorded]) -> None:
        for failure in failures:
            raise failure

    tally.before = fail
    async with running(log, dead_letters, tally) as projector:
        await eventually(position(tally), lambda reached: reached == 20)
        assert projector.troubles() == {}
    assert tally.given == list(range(1, 21))
    assert await dead_letters.letters("tally") == []


async def test_only_the_stream_of_the_event_that_fails_is_left_alone(
    log: MemoryLog, dead_letters: MemoryDeadLetters
) -> None:
    tally = Tally()

    def refuse_five(batch: Sequence[Recorded]) -> None:
        if any(recorded.position == 5 for recorded in batch):
            raise ValueError("five")

    tally.before = refuse_five
    async with running(log, dead_letters, tally):
        await eventually(position(tally), lambda reached: reached == 20)
    assert tally.given == [p for p in range(1, 21) if p not in (5, 6)], "6 follows 5 in the same stream"
    (letter,) = await dead_letters.letters("tally")
    assert (letter.position, letter.reason) == (5, "ValueError: five")
    assert await dead_letters.streams_set_aside("tally") == {stock_stream("sku-2", "north"): 5}


async def test_what_cannot_be_repaired_stays_aside_over_a_restart(
    log: MemoryLog, dead_letters: MemoryDeadLetters
) -> None:
    await test_only_the_stream_of_the_event_that_fails_is_left_alone(log, dead_letters)
    stream_id: UUID = stock_stream("sku-2", "north")
    again = Tally()
    async with running(log, dead_letters, again):
        await eventually(position(again), lambda reached: reached == 20)
    assert {5, 6}.isdisjoint(again.given)
    assert stream_id in await dead_letters.streams_set_aside("tally")
