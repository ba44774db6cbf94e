from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import cast

import pytest

from queryside.errors import StoreUnavailable, TooManyOfYours, TooManyWaiting
from queryside.order_changes import OrderChange, OrderChanges
from queryside.views import VersionOf, Views


class Order:
    """One order as the views have it, and as the log has."""

    def __init__(self) -> None:
        self.shown = 1
        self.changes = [OrderChange(1, "order.submitted", b"{}")]
        self.reads_count = self.reading_count = self.most_reading_count = 0
        self.is_away = False
        self.looked_at: list[int] = []

    async def versions(self, streams: Sequence[VersionOf]) -> list[int]:
        self.looked_at.append(len(streams))
        if self.is_away:
            raise StoreUnavailable("away")
        return [self.shown] * len(streams)

    async def order_changes(self, order_id: str, after_version: int, limit: int) -> list[OrderChange]:
        self.reads_count += 1
        self.reading_count += 1
        self.most_reading_count = max(self.most_reading_count, self.reading_count)
        await asyncio.sleep(0)
        self.reading_count -= 1
        return [change for change in self.changes if change.version > after_version][:limit]


@pytest.fixture
def order() -> Order:
    return Order()


def onlookers(order: Order, *, stay_seconds: float = 5.0, everybody: int = 3, each: int = 2) -> OrderChanges:
    return OrderChanges(
        cast(Views, order),
        order,
        stay_seconds=stay_seconds,
        poll_seconds=0.01,
        onlookers_limit_count=everybody,
        callers_onlookers_limit_count=each,
    )


async def test_the_log_is_read_when_the_view_has_moved_and_not_before(order: Order) -> None:
    changes = onlookers(order)
    with changes.place("ada") as until:
        waiting = asyncio.create_task(changes.next("1", 1, until))
        await asyncio.sleep(0.1)
        assert order.reads_count == 0
        order.changes += [OrderChange(2, "order.placed", b"{}"), OrderChange(3, "order.shipment_packed", b"{}")]
        order.shown = 2  # the log may be ahead of the view
        assert [change.version for change in await waiting] == [2, 3]
        assert order.reads_count == 1
    await changes.aclose()


async def test_who_has_stayed_long_enough_is_shown_nothing_more(order: Order) -> None:
    changes = onlookers(order, stay_seconds=0.05)
    with changes.place("ada") as until:
        assert await changes.next("1", 1, until) == []
        order.shown = 2
        order.changes.append(OrderChange(2, "order.placed", b"{}"))
        assert await changes.next("1", 1, until) == []
    await changes.aclose()


async def test_nobody_waits_once_they_are_sent_away(order: Order) -> None:
    changes = onlookers(order)
    with changes.place("ada") as until, changes.place("bo"):
        waiting = [asyncio.create_task(changes.next("1", 1, until)) for _ in range(2)]
        await asyncio.sleep(0.05)
        changes.send_away()
        async with asyncio.timeout(1):
            assert await asyncio.gather(*waiting) == [[], []]
            assert await changes.next("1", 1, until) == []
    await changes.aclose()


async def test_a_view_that_cannot_be_read_is_said(order: Order) -> None:
    changes = onlookers(order)
    with changes.place("ada") as until:
        waiting = asyncio.create_task(changes.next("1", 1, until))
        await asyncio.sleep(0.05)
        order.is_away = True
        with pytest.raises(StoreUnavailable):
            await waiting
    await changes.aclose()


async def test_there_are_so_many_places_and_for_one_caller_fewer(order: Order) -> None:
    changes = onlookers(order)
    with ExitStack() as taken:
        for caller in ("ada", "ada"):
            taken.enter_context(changes.place(caller))
        with pytest.raises(TooManyOfYours, match="2 times already"), changes.place("ada"):
            pass
        taken.enter_context(changes.place("bo"))
        with pytest.raises(TooManyWaiting, match="3 look on"), changes.place("cy"):
            pass
    with ExitStack() as free_again:
        for caller in ("ada", "ada", "cy"):
            free_again.enter_context(changes.place(caller))
    await changes.aclose()


async def test_a_hundred_orders_are_looked_at_at_a_time(order: Order) -> None:
    changes = onlookers(order, stay_seconds=2.0, everybody=250, each=250)
    with changes.place("ada") as until:
        assert await asyncio.gather(*(changes.next(str(n), 1, until) for n in range(250))) == [[]] * 250
    assert order.looked_at[:3] == [100, 100, 50]
    await changes.aclose()


async def test_when_all_orders_change_at_once_all_are_told_and_the_log_is_read_for_few_at_a_time(order: Order) -> None:
    changes = onlookers(order, everybody=500, each=500)
    with changes.place("ada") as until:
        waiting = [asyncio.create_task(changes.next(str(n), 1, until)) for n in range(500)]
        await asyncio.sleep(0.05)
        order.changes.append(OrderChange(2, "order.placed", b"{}"))
        order.shown = 2
        told = await asyncio.gather(*waiting)
    assert [[change.version for change in each] for each in told] == [[2]] * 500
    assert order.most_reading_count == 4
    await changes.aclose()


async def test_what_is_long_comes_in_parts(order: Order) -> None:
    changes = onlookers(order)
    order.changes = [OrderChange(n, "order.refunded", b"{}") for n in range(1, 121)]
    order.shown = 120
    with changes.place("ada") as until:
        seen = [change.version for change in await changes.so_far("1", 0)]
        while len(seen) < 120:
            part = await changes.next("1", seen[-1], until)
            assert 0 < len(part) <= 50
            seen += [change.version for change in part]
    assert seen == list(range(1, 121))
    await changes.aclose()


async def test_one_that_is_over_already_can_be_sent_away_too(order: Order) -> None:
    """The stay runs out in the very moment of the stop, or its end takes its time."""
    changes = onlookers(order)

    async def does_not_let_go(order_id: str, after_version: int, limit: int) -> list[OrderChange]:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            raise
        return []

    order.shown = 2
    order.order_changes = does_not_let_go  # type: ignore[method-assign]
    with changes.place("ada") as until:
        waiting = asyncio.create_task(changes.next("1", 1, until))
        await asyncio.sleep(0.02)
        changes.send_away()
        await asyncio.sleep(0.02)
        await changes.aclose()
        assert await waiting == []
