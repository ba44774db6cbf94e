"""What every event store does: the one in memory, that of the simulation and the one on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from commandside.event_store import EventStore, VersionConflict
from commandside.event_store.postgres import PostgresEventStore
from domain.aggregates import StockItem
from domain.events import EVENT_TYPES, AnyEvent, Recorded
from domain.identity import stock_stream
from tests.contract.event_store.in_memory import IN_MEMORY
from tests.history.write_golden import sample
from tests.strategies import START, cause

FIRST, SECOND, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
SOON, LATER = START + timedelta(minutes=1), START + timedelta(minutes=2)


@pytest.fixture(params=["memory", "simulated", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[EventStore]:
    if request.param in IN_MEMORY:
        yield IN_MEMORY[request.param]()
        return
    on_postgres = PostgresEventStore(request.getfixturevalue("database_url"))
    yield on_postgres
    on_postgres.close()


def stock_events(sku: str, *quantities: int, actor: str = "customer:ada") -> list[AnyEvent]:
    """One that opens the stock, and one for each quantity that comes in."""
    item = StockItem.open(sku, "north", cause(actor=actor))
    for quantity in quantities:
        item.receive(quantity, cause(actor=actor))
    return item.collect_events()


async def whole_log(store: EventStore, *skus: str) -> list[Recorded]:
    histories = [await store.history(stock_stream(sku, "north")) for sku in skus]
    return sorted((recorded for history in histories for recorded in history), key=lambda recorded: recorded.position)


async def test_an_empty_log(store: EventStore) -> None:
    assert await store.last_position() == 0
    assert await store.history(FIRST) == []
    assert await store.load({FIRST: 0}) == {}
    assert await store.due_work(LATER, 10) == []


async def test_what_was_appended_is_there(store: EventStore) -> None:
    events = stock_events("lamp", 5, 3)
    positions = await store.append(events, {})

    stream = events[0].originator_id
    assert await store.load({stream: 0}) == {stream: events}
    assert await store.history(stream) == [Recorded(*pair) for pair in zip(positions, events, strict=True)]


async def test_every_kind_of_event_comes_back_as_it_was(store: EventStore) -> None:
    events = [
        replace(sample(event_type), originator_id=UUID(int=n), originator_version=1)
        for n, event_type in enumerate(EVENT_TYPES.values())
    ]
    await store.append(events, {})
    assert await store.load({UUID(int=n): 0 for n in range(len(events))}) == {
        UUID(int=n): [event] for n, event in enumerate(events)
    }


async def test_positions_ascend_in_the_order_given(store: EventStore) -> None:
    lamp, chair = stock_events("lamp", 5, 3), stock_events("chair", 1)
    first = [lamp[0], chair[0], lamp[1]]
    positions = [*await store.append(first, {}), *await store.append([chair[1], lamp[2]], {})]

    assert positions == sorted(set(positions))
    assert positions[0] > 0
    assert [recorded.event for recorded in await whole_log(store, "lamp", "chair")] == [*first, chair[1], lamp[2]]
    assert [recorded.position for recorded in await whole_log(store, "lamp", "chair")] == positions
    assert await store.last_position() == positions[-1]


async def test_loading_is_from_a_version_on(store: EventStore) -> None:
    lamp, chair = stock_events("lamp", 5, 3), stock_events("chair", 1)
    await store.append([*lamp, *chair], {})
    lamp_id, chair_id = lamp[0].originator_id, chair[0].originator_id

    assert await store.load({lamp_id: 1, chair_id: 0}) == {lamp_id: lamp[1:], chair_id: chair}
    assert await store.load({lamp_id: 3, chair_id: 1, THIRD: 0}) == {chair_id: chair[1:]}
    assert await store.load({}) == {}


async def test_a_version_that_is_taken_is_a_conflict_that_leaves_nothing(store: EventStore) -> None:
    lamp, chair = stock_events("lamp", 5), stock_events("chair", 1)
    await store.append(lamp, {FIRST: SOON})
    before = await store.last_position()
    others = stock_events("lamp", 7, 8, actor="operator:bo")

    # New ones before and after the one that is taken: none of them may stay.
    with pytest.raises(VersionConflict):
        await store.append([*chair, others[1], others[2]], {FIRST: None, SECOND: SOON})

    assert await store.last_position() == before
    assert await store.load({chair[0].originator_id: 0, lamp[0].originator_id: 0}) == {lamp[0].originator_id: lamp}
    assert await store.due_work(LATER, 10) == [FIRST]


async def test_the_same_event_by_somebody_else_is_a_conflict_too(store: EventStore) -> None:
    await store.append(stock_events("lamp", 5), {})
    with pytest.raises(VersionConflict):
        await store.append(stock_events("lamp", 5)[1:], {})


async def test_one_version_twice_in_an_append_is_a_conflict(store: EventStore) -> None:
    opened, received = stock_events("lamp", 5)
    with pytest.raises(VersionConflict):
        await store.append([opened, received, received], {})
    assert await store.last_position() == 0


async def test_of_many_that_race_for_a_version_one_wins(store: EventStore) -> None:
    await store.append(stock_events("lamp"), {})
    racers = [stock_events("lamp", quantity)[1:] for quantity in range(1, 11)]

    outcomes = await asyncio.gather(*[store.append(events, {}) for events in racers], return_exceptions=True)

    won = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 9
    history = await store.history(stock_stream("lamp", "north"))
    assert [recorded.event for recorded in history][1:] == racers[won[0]]


async def test_a_history_is_read_in_pages(store: EventStore) -> None:
    events = stock_events("lamp", *range(1, 10))
    await store.append(
        [event for pair in zip(events, stock_events("vase", *range(1, 10)), strict=True) for event in pair], {}
    )
    stream = stock_stream("lamp", "north")
    whole = await store.history(stream)
    assert [recorded.event for recorded in whole] == events
    for after, limit in ((0, 3), (3, 3), (8, 5), (10, 1), (0, 10), (4, None), (99, None)):
        end = None if limit is None else after + limit
        assert await store.history(stream, after, limit) == whole[after:end]


async def test_concurrent_appends_each_get_positions_of_their_own(store: EventStore) -> None:
    batches = [stock_events(f"sku-{n}", 1, 2) for n in range(20)]
    positions = await asyncio.gather(*[store.append(events, {}) for events in batches])
    assert len({position for own in positions for position in own}) == 60
    for events, own in zip(batches, positions, strict=True):
        assert [recorded.position for recorded in await store.history(events[0].originator_id)] == list(own)


async def test_a_large_append_is_one(store: EventStore) -> None:
    events = [event for n in range(1_000) for event in stock_events(f"sku-{n}", n + 1)]
    positions = await store.append(events, {})
    assert len(positions) == 2_000
    assert await store.last_position() == positions[-1]
    loaded = await store.load({event.originator_id: 1 for event in events})
    assert sum(len(stream) for stream in loaded.values()) == 1_000


async def test_due_work_is_the_longest_waiting_first(store: EventStore) -> None:
    await store.append(stock_events("lamp"), {FIRST: LATER, SECOND: SOON, THIRD: START})

    assert await store.due_work(LATER, 10) == [THIRD, SECOND, FIRST]
    assert await store.due_work(LATER, 2) == [THIRD, SECOND]
    assert await store.due_work(SOON, 10) == [THIRD, SECOND]
    assert await store.due_work(START - timedelta(seconds=1), 10) == []


@pytest.mark.parametrize("due", [[START], [LATER], [None], [LATER, START], [None, START], [START, None]])
async def test_work_is_as_the_last_append_left_it(store: EventStore, due: list[datetime | None]) -> None:
    events = stock_events("lamp", 1, 2, 3)
    await store.append(events[:1], {FIRST: SOON})
    for n, due_at in enumerate(due, start=1):
        await store.append(events[n : n + 1], {FIRST: due_at})

    last = due[-1]
    assert await store.due_work(LATER, 10) == ([] if last is None else [FIRST])
    assert await store.due_work(SOON, 10) == ([FIRST] if last is not None and last <= SOON else [])
