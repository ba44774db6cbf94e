"""The projector with projections that misbehave in ways of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from domain.identity import stock_stream
from projections.recorded import Recorded
from streams.dead_letters import DeadLetter, DeadLetters
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
    log: MemoryLog, dead_letters: DeadLetters, *projections: Tally, batch_size_events: int = 4, **more: Any
) -> AsyncIterator[Projector]:
    metrics = ProjectorMetrics(CollectorRegistry())
    projector = Projector(
        log, projections, dead_letters, metrics, batch_size_events=batch_size_events, poll_seconds=0.01, **more
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


class LettersAway(MemoryDeadLetters):
    """Dead letters in a store that is away, or that takes the connection and never answers."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    async def put(self, projection: str, letter: DeadLetter) -> None:
        await self._ask()
        await super().put(projection, letter)

    async def streams_set_aside(self, projection: str) -> dict[UUID, int]:
        await self._ask()
        return await super().streams_set_aside(projection)

    async def retries_wanted(self, projection: str) -> set[UUID]:
        await self._ask()
        return await super().retries_wanted(projection)

    async def _ask(self) -> None:
        if self.how == "refuses":
            raise ConnectionRefusedError("away")
        if self.how == "silent":
            await asyncio.Event().wait()


class Repaired(Tally):
    """It also notes which streams were brought up to date."""

    def __init__(self, name: str = "tally") -> None:
        super().__init__(name)
        self.repaired: list[UUID] = []

    async def repair(self, stream_id: UUID) -> None:
        self.repaired.append(stream_id)


ALONE: Mapping[str, Any] = {"letters_apart": ["alone"], "store_check_seconds": 0.02, "outage_limit_seconds": 0.1}
PATIENT = {**ALONE, "letters_apart": ["alone", "other"], "outage_limit_seconds": 300.0}


@pytest.mark.parametrize("how", ["refuses", "silent"])
async def test_what_is_kept_apart_from_the_dead_letters_starts_and_goes_on_without_them(
    log: MemoryLog, how: str
) -> None:
    letters, alone = LettersAway(how), Tally("alone")
    async with running(log, letters, alone, **ALONE) as projector:
        await eventually(position(alone), lambda reached: reached == 20)
        for number in range(5):  # longer than an outage may be
            log.append(*collected(stock(f"late-{number}")))
            await eventually(position(alone), (22 + 2 * number).__eq__)
            await asyncio.sleep(0.05)
        assert projector.troubles() == {}


async def test_the_letters_are_seen_to_when_their_store_answers_again(log: MemoryLog) -> None:
    letters, alone = LettersAway("nothing"), Repaired("alone")
    aside, asked = stock_stream("sku-2", "north"), stock_stream("sku-3", "north")
    for number, stream_id in enumerate((aside, asked)):
        await letters.put("alone", DeadLetter(5 + 2 * number, stream_id, 1, "stock.counted.v1", "five"))
    letters.how = "refuses"

    async def repaired() -> list[UUID]:
        return alone.repaired

    async with running(log, letters, alone, **ALONE):
        await eventually(position(alone), lambda reached: reached == 20)
        letters.how = "nothing"
        await eventually(repaired, lambda streams: set(streams) == {aside, asked})
        assert await letters.streams_set_aside("alone") == {}
        letters.how = "refuses"
        await letters.want_retry("alone", asked)
        letters.how = "nothing"
        await eventually(lambda: letters.retries_wanted("alone"), lambda wanted: wanted == set())


async def test_a_letter_that_cannot_be_written_holds_up_its_own_feed_alone(log: MemoryLog) -> None:
    letters, alone, other = LettersAway("refuses"), Tally("alone"), Tally("other")

    def refuse_five(batch: Sequence[Recorded]) -> None:
        if any(recorded.position == 5 for recorded in batch):
            raise ValueError("five")

    alone.before = refuse_five
    async with running(log, letters, alone, other, **PATIENT, batch_size_events=1) as projector:
        await eventually(position(other), lambda reached: reached == 20)
        assert alone.position == 4, "nothing is dropped in silence"
        assert list(projector.troubles()) == ["alone"]
        letters.how = "nothing"
        await eventually(position(alone), lambda reached: reached == 20)
    assert await letters.streams_set_aside("alone") == {stock_stream("sku-2", "north"): 5}
