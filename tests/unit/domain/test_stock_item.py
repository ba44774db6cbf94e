from __future__ import annotations

from datetime import timedelta

import pytest

from domain.aggregates import StockItem
from domain.errors import BelowReserved, InsufficientStock, ReservationEnded, RuleBroken
from domain.events.stock import (
    StockAdjusted,
    StockCommitted,
    StockReceived,
    StockReleased,
    StockReservationExpired,
    StockReserved,
    StockRestocked,
)
from tests.spec import Given, event, given
from tests.strategies import START, cause

IN_TEN_MINUTES = START + timedelta(minutes=10)


def lamps(on_hand: int = 5, reserved: int = 0) -> Given[StockItem]:
    """`reserved` of them as "r1", for ten minutes."""
    item = StockItem.open("lamp", "north", cause())
    item.receive(on_hand, cause())
    if reserved:
        item.reserve("r1", reserved, IN_TEN_MINUTES, cause())
    return given(item)


def test_every_event_names_its_place_and_its_cause() -> None:
    outcome = lamps().when(lambda item: item.receive(3, cause(2, "operator:bo")))
    outcome.then(
        event(
            StockReceived,
            sku="lamp",
            warehouse_id="north",
            quantity=3,
            originator_version=3,
            timestamp=START + timedelta(minutes=2),
            actor="operator:bo",
            causation_id="command-1",
            correlation_id="conversation-1",
        )
    )


def test_the_last_ones_can_be_reserved() -> None:
    outcome = lamps(5, reserved=2).when(lambda item: item.reserve("r2", 3, IN_TEN_MINUTES, cause()))
    outcome.then(event(StockReserved, reservation_id="r2", quantity=3, expires_at=IN_TEN_MINUTES))


def test_one_more_than_there_is_cannot() -> None:
    outcome = lamps(5, reserved=2).when(lambda item: item.reserve("r2", 4, IN_TEN_MINUTES, cause()))
    outcome.then_refused(InsufficientStock, product_id="lamp", requested=4, available=3)


def test_a_reservation_is_not_made_twice() -> None:
    outcome = lamps(5, reserved=2).when(lambda item: item.reserve("r1", 1, IN_TEN_MINUTES, cause()))
    outcome.then_refused(RuleBroken, reservation_id="r1")


def test_after_its_end_it_can_be_made_again() -> None:
    released = lamps(5, reserved=2)
    released.when(lambda item: item.release("r1", cause())).then(event(StockReleased, quantity=2))
    released.when(lambda item: item.reserve("r1", 5, IN_TEN_MINUTES, cause())).then(event(StockReserved, quantity=5))


def test_an_adjustment_may_take_what_is_free() -> None:
    outcome = lamps(5, reserved=2).when(lambda item: item.adjust(-3, "broken", cause()))
    outcome.then(event(StockAdjusted, quantity_delta=-3, reason="broken"))


def test_but_not_what_is_reserved() -> None:
    outcome = lamps(5, reserved=2).when(lambda item: item.adjust(-4, "broken", cause()))
    outcome.then_refused(BelowReserved, on_hand=5, reserved=2, quantity_delta=-4)


def test_a_count_that_finds_what_is_there_is_no_event() -> None:
    lamps().when(lambda item: item.adjust(0, "count", cause())).then_nothing()


def test_a_commitment_takes_the_reserved_units_away() -> None:
    stock = lamps(5, reserved=2)
    stock.when(lambda item: item.commit("r1", cause())).then(event(StockCommitted, reservation_id="r1", quantity=2))
    assert (stock.aggregate.on_hand, stock.aggregate.reserved, stock.aggregate.committed) == (3, 0, 2)


@pytest.mark.parametrize("end", ["release", "expire", "commit"])
@pytest.mark.parametrize("first", ["release", "expire", "commit"])
def test_a_reservation_ends_once(first: str, end: str) -> None:
    stock = lamps(5, reserved=2)
    assert len(stock.when(lambda item: getattr(item, first)("r1", cause(10))).events) == 1
    outcome = stock.when(lambda item: getattr(item, end)("r1", cause(11)))
    outcome.then_refused(ReservationEnded, reservation_id="r1")


def test_a_reservation_expires_at_its_time_and_not_before() -> None:
    stock = lamps(5, reserved=2)
    stock.when(lambda item: item.expire("r1", cause(9.99))).then_refused(RuleBroken, reservation_id="r1")
    stock.when(lambda item: item.expire("r1", cause(10))).then(event(StockReservationExpired, quantity=2))


def test_sold_units_come_back_but_no_more_than_were_sold() -> None:
    stock = lamps(5, reserved=2)
    stock.when(lambda item: item.commit("r1", cause()))
    stock.when(lambda item: item.restock(3, "order-1", cause())).then_refused(RuleBroken)
    stock.when(lambda item: item.restock(2, "order-1", cause())).then(
        event(StockRestocked, quantity=2, reference="order-1")
    )
    assert (stock.aggregate.on_hand, stock.aggregate.committed) == (5, 0)
