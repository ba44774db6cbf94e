"""The form of the tests itself: each of its ends fails when something else happened."""

from __future__ import annotations

from uuid import UUID

import pytest

from commandside.aggregates import Aggregates
from domain.aggregates import StockItem
from domain.errors import InsufficientStock, RuleBroken
from domain.events.stock import StockOpened, StockReceived, StockReserved
from domain.identity import stock_stream
from tests.spec import event, given, given_stored, happened_to
from tests.strategies import START, cause


def lamps() -> StockItem:
    item = StockItem.open("lamp", "north", cause())
    item.receive(5, cause())
    return item


def test_what_happened_is_compared_in_full() -> None:
    outcome = given(lamps()).when(lambda item: item.receive(1, cause()))
    outcome.then(event(StockReceived, quantity=1))
    for wrong in (
        [event(StockReceived, quantity=2)],
        [event(StockReserved)],
        [event(StockReceived), event(StockReceived)],
    ):
        with pytest.raises(AssertionError):
            outcome.then(*wrong)
    with pytest.raises(AssertionError):
        outcome.then_nothing()
    with pytest.raises(AssertionError):
        outcome.then_refused(RuleBroken)
    with pytest.raises(AssertionError, match="then_nothing"):
        outcome.then()
    with pytest.raises(AssertionError, match="colour"):
        event(StockReceived, colour="red")


def test_nothing_is_not_a_refusal() -> None:
    given(lamps()).when(lambda item: item.adjust(0, "count", cause())).then_nothing()
    refused = given(lamps()).when(lambda item: item.reserve("r1", 6, START, cause()))
    refused.then_refused(InsufficientStock, available=5)
    with pytest.raises(AssertionError):
        refused.then_nothing()
    with pytest.raises(AssertionError):
        refused.then(event(StockReserved))
    with pytest.raises(AssertionError):
        refused.then_refused(RuleBroken)  # a kind of it, but not it
    with pytest.raises(AssertionError):
        refused.then_refused(InsufficientStock, available=4)


def test_a_refusal_that_leaves_something_behind_is_found() -> None:
    def halfway(item: StockItem) -> None:
        item.receive(1, cause())
        raise RuleBroken("too late")

    item = lamps()
    with pytest.raises(AssertionError, match="triggers nothing"):
        happened_to(item, lambda: halfway(item))


async def test_a_decision_over_several_aggregates() -> None:
    def move_one(aggregates: Aggregates) -> int:
        north = aggregates.find(StockItem, stock_stream("lamp", "north"))
        assert north is not None
        assert aggregates.find(StockItem, stock_stream("lamp", "south")) is None
        north.adjust(-1, "moved", cause())
        south = StockItem.open("lamp", "south", cause())
        aggregates.add(south)
        south.receive(1, cause())
        return north.on_hand

    outcome = await given_stored(lamps()).when(move_one)

    outcome.then(event(type(outcome.events[0]), quantity_delta=-1), event(StockOpened), event(StockReceived))
    assert outcome.result == 4


async def test_a_decision_that_is_refused_or_does_nothing() -> None:
    def reserve_six(aggregates: Aggregates) -> None:
        item = aggregates.find(StockItem, stock_stream("lamp", "north"))
        assert item is not None
        item.reserve("r1", 6, START, cause())

    (await given_stored(lamps()).when(reserve_six)).then_refused(InsufficientStock)
    (await given_stored().when(lambda aggregates: aggregates.find(StockItem, UUID(int=1)))).then_nothing()
