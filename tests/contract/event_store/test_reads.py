"""What a batch read and does not write: the append, or a check alone, finds out whether it still is as it was."""

from __future__ import annotations

import pytest

from commandside.event_store import EventStore, VersionConflict
from domain.aggregates import StockItem
from domain.events import AnyEvent
from domain.identity import checkout_stream, stock_stream
from tests.strategies import START, cause

LAMP, CHAIR, VASE = (stock_stream(sku, "north") for sku in ("lamp", "chair", "vase"))
ORDER = checkout_stream(LAMP)
Stores = tuple[EventStore, EventStore]


def stock_events(sku: str, *quantities: int) -> list[AnyEvent]:
    item = StockItem.open(sku, "north", cause())
    for quantity in quantities:
        item.receive(quantity, cause())
    return item.collect_events()


async def test_what_was_read_and_is_as_it_was_stands_in_nobodys_way(stores: Stores) -> None:
    one, other = stores
    await one.append(stock_events("lamp", 5), {})
    positions = await other.append(stock_events("chair", 1), {}, {LAMP: 2, VASE: 0})
    assert len(positions) == 2
    assert await other.check({LAMP: 2, CHAIR: 2, VASE: 0}) == positions[-1]


@pytest.mark.parametrize("news", [1, 3])
async def test_a_stream_that_has_gone_on_is_a_conflict_and_nothing_is_appended(stores: Stores, news: int) -> None:
    one, other = stores
    events = stock_events("lamp", 5, *[1] * news)
    await one.append(events[:2], {})
    await one.append(events[2:], {})
    before = await one.last_position()

    with pytest.raises(VersionConflict):
        await other.append(stock_events("chair", 1), {ORDER: START}, {VASE: 0, LAMP: 2})
    with pytest.raises(VersionConflict):
        await other.check({VASE: 0, LAMP: 2})

    assert await other.last_position() == before
    assert await other.load({CHAIR: 0}) == {}
    assert await other.due_work(START, 10) == []


async def test_a_stream_that_was_read_as_empty_may_not_have_begun(stores: Stores) -> None:
    one, other = stores
    await one.append(stock_events("lamp"), {})
    with pytest.raises(VersionConflict):
        await other.append(stock_events("chair", 1), {}, {LAMP: 0})
    with pytest.raises(VersionConflict):
        await other.check({LAMP: 0})
    assert await other.load({CHAIR: 0}) == {}


async def test_what_is_appended_in_the_same_call_is_not_in_its_way(stores: Stores) -> None:
    one, _ = stores
    await one.append(stock_events("lamp", 5), {})
    assert len(await one.append([*stock_events("chair", 1), *stock_events("vase", 1)], {}, {LAMP: 2})) == 4


async def test_a_check_of_nothing_is_the_last_position(stores: Stores) -> None:
    one, other = stores
    assert await other.check({}) == 0
    assert await other.check({LAMP: 0}) == 0
    positions = await one.append(stock_events("lamp", 5), {})
    assert await other.check({}) == positions[-1]
